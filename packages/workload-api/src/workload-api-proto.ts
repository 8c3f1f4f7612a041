import { fromJSON, type PackageDefinition } from "@grpc/proto-loader";

const field = (type: string, id: number) => ({ type, id });
const repeated = (type: string, id: number) => ({ rule: "repeated", type, id });
const byTrustDomain = (id: number) => ({ keyType: "string", type: "bytes", id });
const stream = (request: string, response: string) => ({
  requestType: request,
  responseType: response,
  responseStream: true,
  comment: "",
});

/**
 * The part of SPIFFE's Workload API that is called here, with the standard's names and numbers
 * (SPIFFE Workload API, appendix A). As data, so that a bundled program needs no file beside it.
 */
const SERVICE: Parameters<typeof fromJSON>[0] = {
  nested: {
    X509SVIDRequest: { fields: {} },
    X509SVIDResponse: {
      fields: {
        svids: repeated("X509SVID", 1),
        crl: repeated("bytes", 2),
        federated_bundles: byTrustDomain(3),
      },
    },
    X509SVID: {
      fields: {
        spiffe_id: field("string", 1),
        x509_svid: field("bytes", 2),
        x509_svid_key: field("bytes", 3),
        bundle: field("bytes", 4),
        hint: field("string", 5),
      },
    },
    X509BundlesRequest: { fields: {} },
    X509BundlesResponse: { fields: { crl: repeated("bytes", 1), bundles: byTrustDomain(2) } },
    JWTBundlesRequest: { fields: {} },
    JWTBundlesResponse: { fields: { bundles: byTrustDomain(1) } },
    SpiffeWorkloadAPI: {
      methods: {
        FetchX509SVID: stream("X509SVIDRequest", "X509SVIDResponse"),
        FetchX509Bundles: stream("X509BundlesRequest", "X509BundlesResponse"),
        FetchJWTBundles: stream("JWTBundlesRequest", "JWTBundlesResponse"),
      },
    },
  },
};

export const workloadApiProto = (): PackageDefinition =>
  fromJSON(SERVICE, { keepCase: true, defaults: true });
