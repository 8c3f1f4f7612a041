/** The credential backend for AWS. */
export { awsBackend } from "./aws-backend.ts";
