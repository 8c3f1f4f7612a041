/** BullMQ as the alarm clock over the ledger's rows, on Redis or on PostgreSQL. */
export { checkRedis, type RedisCheck } from "./check-redis.ts";
export { createAlarmClock, type AlarmClockOptions } from "./create-alarm-clock.ts";
export { createAlarmListener, type AlarmListenerOptions } from "./create-alarm-listener.ts";
export { migrateQueue, queueGrants } from "./migrate-queue.ts";
export type {
  PostgresQueueConfig,
  QueueConfig,
  QueuePorts,
  RedisQueueConfig,
} from "./queue-config.ts";
