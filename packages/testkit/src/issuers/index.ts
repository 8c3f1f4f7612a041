/** Issuers of test identities: real keys, real signatures, real servers, and failures on demand. */
export {
  startDocumentServer,
  type DocumentServer,
  type PublishedDocument,
  type ServeFailure,
} from "./document-server.ts";
export { createTestDpopKey, type DpopProofChange, type TestDpopKey } from "./test-dpop-key.ts";
export {
  startTestOidcIssuer,
  type TestOidcIssuer,
  type TestOidcIssuerOptions,
  type TestTokenChange,
} from "./test-oidc-issuer.ts";
export {
  createTestSigningKey,
  hmacCompact,
  signCompact,
  signText,
  TEST_ALGORITHMS,
  unsignedCompact,
  type TestAlgorithm,
  type TestSigningKey,
} from "./test-signing-key.ts";
export {
  asBundleKey,
  createTestTrustDomain,
  startTestTrustDomain,
  type ServedTrustDomain,
  type TestTrustDomain,
  type TestTrustDomainOptions,
} from "./test-trust-domain.ts";
export { vendorClaims, VENDOR_TENANT } from "./vendor-claims.ts";
export {
  signTestCertificate,
  testKeyPair,
  testSubject,
  type TestCertificateContent,
  type TestKeyPair,
  type TestName,
} from "./test-certificate.ts";
export {
  createTestX509Authority,
  type TestX509Authority,
  type TestX509Svid,
} from "./test-x509-authority.ts";
export {
  startFakeTokenReviewApi,
  type FakeTokenReviewApi,
  type KnownToken,
  type ReviewFailure,
} from "./fake-token-review-api.ts";
