/** The backend type `ssh`: user certificates, and hosts that are told whom to refuse. */
export { sshBackend } from "./ssh-backend.ts";
