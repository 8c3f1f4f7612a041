import { id_kp_clientAuth, id_kp_serverAuth } from "@peculiar/asn1-x509";

/** As whom a certificate is shown (RFC 5280 section 4.2.1.12). */
export const PURPOSES = { client: id_kp_clientAuth, server: id_kp_serverAuth } as const;
export type Purpose = keyof typeof PURPOSES;
