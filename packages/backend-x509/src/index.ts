/** The backend type `x509`: client certificates of an authority of the installation's own. */
export { x509Backend } from "./x509-backend.ts";
