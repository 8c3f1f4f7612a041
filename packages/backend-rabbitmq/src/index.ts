/** The credential backend for RabbitMQ. */
export { rabbitmqBackend } from "./rabbitmq-backend.ts";
