import {
  addressRanges,
  flag,
  httpUrl,
  listenAddress,
  number,
  oneOf,
  secretText,
  text,
  type Variable,
} from "./variable.ts";

const both = ["broker", "worker"] as const;
const all = ["broker", "worker", "migrate"] as const;
const optional = <T>(variable: Variable<T>): Variable<T | null> => ({
  ...variable,
  optional: true,
});

/**
 * Every variable of every process: the one source of `docs/config.md`. A new one has a default
 * under which today's behaviour stands. `UNSAFE` in a name marks what weakens a guarantee; such a
 * setting is warned of at each start.
 */
export const VARIABLES = {
  issuer: httpUrl("MAYFLY_ISSUER", {
    readers: both,
    meaning: "The broker's public URL: its OAuth issuer, and the only audience that it accepts.",
  }),
  listen: listenAddress("MAYFLY_LISTEN", {
    readers: ["broker"],
    default: "127.0.0.1:8420",
    meaning: "Where the broker listens, as host:port. Port 0 takes a free one.",
  }),
  workloadApi: optional(
    text("MAYFLY_WORKLOAD_API", {
      readers: both,
      meaning:
        "Where the SPIFFE agent of this machine is, as unix:///path or tcp:// with an IP address and " +
        "a port: trust roots with `workload_api` take their bundles from it, and those with " +
        "`client_svid` show its X509-SVID to their bundle endpoint.",
    }),
  ),
  tlsFromWorkloadApi: flag("MAYFLY_TLS_FROM_WORKLOAD_API", {
    readers: ["broker"],
    meaning:
      "Whether the broker serves HTTPS with its X509-SVID from MAYFLY_WORKLOAD_API, replaced " +
      "whenever the agent has a newer one, instead of with MAYFLY_TLS_CERT_FILE.",
  }),
  tlsCertFile: optional(
    text("MAYFLY_TLS_CERT_FILE", {
      readers: ["broker"],
      meaning:
        "PEM file with the broker's certificate and those above it: with it the broker serves " +
        "HTTPS. Read again when it changes, without a restart.",
    }),
  ),
  tlsKeyFile: optional(
    text("MAYFLY_TLS_KEY_FILE", {
      readers: ["broker"],
      meaning:
        "PEM file with the private key of MAYFLY_TLS_CERT_FILE, readable by its owner alone.",
    }),
  ),
  trustedProxies: addressRanges("MAYFLY_TRUSTED_PROXIES", {
    readers: ["broker"],
    default: "none",
    meaning:
      "Address ranges of the proxies in front, comma separated. Only from these the header of " +
      "MAYFLY_TRUSTED_PROXY_HEADER says who called.",
  }),
  trustedProxyHeader: oneOf("MAYFLY_TRUSTED_PROXY_HEADER", ["x-forwarded-for", "forwarded"], {
    readers: ["broker"],
    default: "x-forwarded-for",
    meaning:
      "The header that the trusted proxies write (`forwarded` is RFC 7239). The other one is never " +
      "read: a caller could send it through them.",
  }),
  trustedProxyClientCert: flag("MAYFLY_TRUSTED_PROXY_CLIENT_CERT", {
    readers: ["broker"],
    meaning:
      "Whether the trusted proxies terminate mTLS and say in `Client-Cert` and `Client-Cert-Chain` " +
      "(RFC 9440) which certificate they were shown; they must take away what a caller sends of " +
      "these. From anybody else the two headers are not read.",
  }),
  unsafePlainHttp: flag("MAYFLY_UNSAFE_PLAIN_HTTP", {
    readers: ["broker"],
    meaning:
      "Whether a broker without a certificate may listen beyond loopback although no trusted proxy " +
      "with TLS is named: where the network itself lets nobody else read, such as a container's.",
  }),
  certificateBoundTokens: flag("MAYFLY_CERTIFICATE_BOUND_TOKENS", {
    readers: ["broker"],
    meaning:
      "Whether a task that is opened over mTLS, without a DPoP proof, is bound to the client's " +
      "certificate (RFC 8705). Its tokens then need that very certificate: where certificates " +
      "rotate more often than tasks end, use DPoP.",
  }),
  dpopNonces: flag("MAYFLY_DPOP_NONCES", {
    readers: ["broker"],
    meaning:
      "Whether each DPoP proof must bear a nonce of the broker (RFC 9449 section 8), so that none " +
      "can be made ahead of time. Costs a client one request more now and then.",
  }),
  drainSeconds: number("MAYFLY_DRAIN_SECONDS", {
    readers: ["broker"],
    default: "0",
    min: 0,
    max: 300,
    meaning:
      "How long a broker that was told to stop goes on taking requests, with `/readyz` saying no, " +
      "until load balancers have noticed.",
  }),
  stopSeconds: number("MAYFLY_STOP_SECONDS", {
    readers: both,
    default: "20",
    min: 1,
    max: 600,
    meaning:
      "How long what is under way may take once the process stops (for a broker, after the drain). " +
      "Then it is cut, and the exit code is 1.",
  }),
  connectionsMax: number("MAYFLY_CONNECTIONS_MAX", {
    readers: ["broker"],
    default: "2000",
    min: 10,
    max: 100_000,
    whole: true,
    meaning: "Most connections that the broker holds; one more is closed unread.",
  }),
  connectionsPerSourceMax: number("MAYFLY_CONNECTIONS_PER_SOURCE_MAX", {
    readers: ["broker"],
    default: "0",
    min: 0,
    max: 100_000,
    whole: true,
    meaning:
      "Most connections of one source, an IPv4 address or the /64 of an IPv6 one; one more is " +
      "closed unread. Those of MAYFLY_TRUSTED_PROXIES are not counted. 0: three quarters of " +
      "MAYFLY_CONNECTIONS_MAX, so that no source takes them all.",
  }),
  databaseUrl: secretText("MAYFLY_DATABASE_URL", {
    readers: [...all, "cli"],
    meaning: "The ledger's PostgreSQL, with the database role of this process.",
  }),
  databaseConnections: number("MAYFLY_DATABASE_CONNECTIONS", {
    readers: both,
    default: "20",
    min: 10,
    max: 200,
    whole: true,
    meaning: "Most connections of this process to the ledger.",
  }),
  installation: optional(
    text("MAYFLY_INSTALLATION", {
      readers: both,
      meaning:
        "The ledger's installation id, as `mayfly migrate` prints it. Where it is set, a process " +
        "refuses to start over another ledger.",
    }),
  ),
  queue: oneOf("MAYFLY_QUEUE", ["redis", "postgres"], {
    readers: [...all, "cli"],
    default: "postgres",
    meaning: "Where BullMQ keeps its jobs: `redis` for production, `postgres` needs no Redis.",
  }),
  redisUrl: optional(
    secretText("MAYFLY_REDIS_URL", {
      readers: [...both, "cli"],
      meaning: "Redis or Valkey of the queue; required when MAYFLY_QUEUE is redis.",
    }),
  ),
  redisCluster: flag("MAYFLY_REDIS_CLUSTER", {
    readers: [...both, "cli"],
    meaning: "Whether MAYFLY_REDIS_URL names a node of a cluster.",
  }),
  sealingKeyFile: optional(
    text("MAYFLY_SEALING_KEY_FILE", {
      readers: [...both, "cli"],
      meaning:
        "File with the sealing key ring, mode 0600. This or MAYFLY_SEALING_KEYS is required.",
    }),
  ),
  sealingKeys: optional(
    secretText("MAYFLY_SEALING_KEYS", {
      readers: both,
      fileForm: false,
      meaning: "The sealing key ring itself, where a file cannot be had.",
    }),
  ),
  logLevel: oneOf("MAYFLY_LOG_LEVEL", ["debug", "info", "warn", "error", "silent"], {
    readers: both,
    default: "info",
    meaning: "Least level that is logged, as JSON lines on standard error.",
  }),
  metricsListen: optional(
    listenAddress("MAYFLY_METRICS_LISTEN", {
      readers: both,
      meaning:
        "Where Prometheus metrics are served, as host:port, at /metrics; nowhere if not set. They " +
        "ask for no credential: use loopback, or a network of the scraper's own.",
    }),
  ),
  healthListen: optional(
    listenAddress("MAYFLY_HEALTH_LISTEN", {
      readers: ["worker"],
      meaning:
        "Where the worker answers `/healthz` and `/readyz`, as host:port; nowhere if not set. " +
        "Neither asks for a credential, nor says more than yes or no and which check failed.",
    }),
  ),
  tracesUrl: optional(
    httpUrl("MAYFLY_TRACES_URL", {
      readers: both,
      meaning:
        "Where spans are sent as OTLP over HTTP, with its path: http://collector:4318/v1/traces. " +
        "No spans are made if not set.",
    }),
  ),
  tracesHeaders: optional(
    secretText("MAYFLY_TRACES_HEADERS", {
      readers: both,
      meaning: "Headers for the collector, such as its token: `name=value`, separated by commas.",
    }),
  ),
  tracesRatio: number("MAYFLY_TRACES_RATIO", {
    readers: both,
    default: "1",
    min: 0,
    max: 1,
    meaning:
      "Share of traces that are recorded, where the caller's own `traceparent` says nothing.",
  }),
  issueSeconds: number("MAYFLY_ISSUE_SECONDS", {
    readers: both,
    default: "10",
    min: 0.1,
    max: 120,
    meaning: "How long after its reservation a mint may still be sent to the backend.",
  }),
  sweepIntervalSeconds: number("MAYFLY_SWEEP_INTERVAL_SECONDS", {
    readers: both,
    default: "10",
    min: 0.05,
    max: 300,
    meaning: "Time between two sweeps. Issuing stops when none finished within two intervals.",
  }),
  listingIntervalSeconds: number("MAYFLY_LISTING_INTERVAL_SECONDS", {
    readers: both,
    default: "60",
    min: 0.05,
    max: 3600,
    meaning: "Time between two listings of what each backend holds of ours.",
  }),
  claimSeconds: number("MAYFLY_CLAIM_SECONDS", {
    readers: both,
    default: "30",
    min: 0.2,
    max: 600,
    meaning: "How long a worker owns a claimed lease before another may claim it.",
  }),
  attemptsUntilStuck: number("MAYFLY_ATTEMPTS_UNTIL_STUCK", {
    readers: both,
    default: "6",
    min: 1,
    max: 100,
    whole: true,
    meaning: "Failed attempts after which a lease is `stuck`. It is retried for ever all the same.",
  }),
  retryBaseSeconds: number("MAYFLY_RETRY_BASE_SECONDS", {
    readers: both,
    default: "2",
    min: 0.05,
    max: 60,
    meaning: "First wait after a failed attempt; doubled each time, at most 300 s, ± half.",
  }),
  stuckMax: number("MAYFLY_STUCK_MAX", {
    readers: both,
    default: "100",
    min: 1,
    max: 1_000_000,
    whole: true,
    meaning: "Stuck leases of one backend above which it issues no more.",
  }),
  liveLeasesMaxPerTask: number("MAYFLY_LIVE_LEASES_MAX_PER_TASK", {
    readers: both,
    default: "100",
    min: 1,
    max: 100_000,
    whole: true,
    meaning: "Live leases of one task; a soft limit.",
  }),
  liveLeasesMaxPerWorkload: number("MAYFLY_LIVE_LEASES_MAX_PER_WORKLOAD", {
    readers: both,
    default: "1000",
    min: 1,
    max: 1_000_000,
    whole: true,
    meaning:
      "Live leases of one workload; a soft limit: each broker counts them once a second, so that each " +
      "further one may add up to nine tenths of it before it knows.",
  }),
  liveLeasesMaxPerRole: number("MAYFLY_LIVE_LEASES_MAX_PER_ROLE", {
    readers: both,
    default: "10000",
    min: 1,
    max: 10_000_000,
    whole: true,
    meaning:
      "Live leases of one role; a soft limit: each broker counts them once a second, so that each " +
      "further one may add up to nine tenths of it before it knows.",
  }),
  taskSecondsMax: number("MAYFLY_TASK_SECONDS_MAX", {
    readers: both,
    default: "86400",
    min: 1,
    max: 604_800,
    whole: true,
    meaning: "Longest deadline that a task may ask for.",
  }),
  workloadExchangesPerSecond: number("MAYFLY_WORKLOAD_EXCHANGES_PER_SECOND", {
    readers: both,
    default: "100",
    min: 0,
    max: 100_000,
    meaning:
      "Exchanges that one workload may begin at one broker in a second, on average; five seconds' " +
      "worth may begin at once. 0: as many as it likes.",
  }),
  workloadExchangesAtOnce: number("MAYFLY_WORKLOAD_EXCHANGES_AT_ONCE", {
    readers: both,
    default: "48",
    min: 1,
    max: 10_000,
    whole: true,
    meaning:
      "Exchanges of one workload that are under way at one broker at once. By default half of the " +
      "places that there are, so that no workload takes them all.",
  }),
  sourceFailuresPerSecond: number("MAYFLY_SOURCE_FAILURES_PER_SECOND", {
    readers: ["broker"],
    default: "20",
    min: 0,
    max: 100_000,
    meaning:
      "Refused proofs of identity, and as many malformed requests of nobody who is known, that one " +
      "source, an IPv4 address or the /64 of an IPv6 one, may send in a second, on average; ten " +
      "seconds' worth of each may come at once. From then on the broker answers it with 429 " +
      "unread, except ends and heartbeats. Behind a proxy that is not in " +
      "MAYFLY_TRUSTED_PROXIES all callers are one source. 0: no limit.",
  }),
  taskDepthMax: number("MAYFLY_TASK_DEPTH_MAX", {
    readers: both,
    default: "4",
    min: 0,
    max: 16,
    whole: true,
    meaning: "How deep child tasks may nest; 0 allows none.",
  }),
  passConcurrency: number("MAYFLY_PASS_CONCURRENCY", {
    readers: both,
    default: "256",
    min: 1,
    max: 1024,
    whole: true,
    meaning:
      "Revocations under way at once for one backend; of a type that ends many leases with one " +
      "call (PostgreSQL), four times as many.",
  }),
  kubernetesClustersFile: optional(
    text("MAYFLY_KUBERNETES_CLUSTERS_FILE", {
      readers: both,
      meaning:
        "JSON file with the Kubernetes clusters that may be asked of their tokens (TokenReview): by " +
        "name, `api_server`, `ca_file` and `token_file`. See docs/identity.md.",
    }),
  ),
  unsafeClockSkewSeconds: number("MAYFLY_UNSAFE_CLOCK_SKEW_SECONDS", {
    readers: both,
    default: "60",
    min: 0,
    max: 60,
    meaning: "Clock skew allowed between the parts. Below 60 only for tests and the demo.",
  }),
  unsafeQuarantineSeconds: number("MAYFLY_UNSAFE_QUARANTINE_SECONDS", {
    readers: both,
    default: "300",
    min: 0,
    max: 3600,
    meaning: "How long a name is held after an unsettled mint. Below 300 only for tests, the demo.",
  }),
  unsafeFailPoint: optional(
    text("MAYFLY_UNSAFE_FAIL_POINT", {
      readers: all,
      meaning:
        "For crash tests: `<point>=kill` or `<point>=stop` at the named point, `@n` at its n-th visit.",
    }),
  ),
} as const;
