import { labelNames, type MetricDefinition } from "./metric-definition.ts";

const AGE_HINT = "+Inf where it never happened";

/**
 * Every metric of ours: the one source of `docs/metrics.md`, of what a process registers, and of
 * what dashboards and alerts are checked against. A name is for ever: it is in other people's
 * alerts. No label holds a workload, a task, a lease or any other text of a stranger.
 */
export const METRICS = [
  {
    kind: "gauge",
    name: "mayfly_build_info",
    labels: labelNames("service", "version", "node"),
    unit: "1",
    meaning: "Always 1; the labels say what runs.",
  },
  {
    kind: "gauge",
    name: "mayfly_ledger_up",
    labels: labelNames(),
    unit: "0 or 1",
    meaning:
      "Whether the ledger answered the last reading in time. At 0, what is read from the ledger is " +
      "left out.",
  },
  {
    kind: "gauge",
    name: "mayfly_ledger_reading_age_seconds",
    labels: labelNames(),
    unit: "seconds",
    meaning: "Age of the reading of the ledger that the gauges below were taken from.",
  },
  {
    kind: "gauge",
    name: "mayfly_leases",
    labels: labelNames("backend", "state"),
    unit: "leases",
    meaning: "Leases that have not ended. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_leases_overdue",
    labels: labelNames(),
    unit: "leases",
    meaning: "Leases that are due and not yet dealt with. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_leases_oldest_due_seconds",
    labels: labelNames(),
    unit: "seconds",
    meaning: "How long the longest overdue lease has been due. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_tasks_active",
    labels: labelNames(),
    unit: "tasks",
    meaning: "Tasks in the state `active`. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_task_ends_open",
    labels: labelNames(),
    unit: "tasks",
    meaning: "Ends of tasks that were requested and not yet applied. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_events_pending",
    labels: labelNames(),
    unit: "events",
    meaning: "Events that are not in the log yet; counted up to 100,000. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_events_pending_oldest_seconds",
    labels: labelNames(),
    unit: "seconds",
    meaning: "Age of the oldest event that is not in the log yet. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_log_entries",
    labels: labelNames(),
    unit: "entries",
    meaning: "Entries of the log. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_default_partition_rows",
    labels: labelNames(),
    unit: "rows",
    meaning:
      "Rows that found no partition of their own; up to 1,000 a table are counted. From the ledger.",
  },
  {
    kind: "gauge",
    name: "mayfly_sweep_age_seconds",
    labels: labelNames(),
    unit: "seconds",
    meaning: `Since a sweep over the ledger's rows finished; ${AGE_HINT}. From the ledger.`,
  },
  {
    kind: "gauge",
    name: "mayfly_listing_age_seconds",
    labels: labelNames("backend"),
    unit: "seconds",
    meaning: `Since a listing of the backend finished; ${AGE_HINT}. From the ledger.`,
  },
  {
    kind: "gauge",
    name: "mayfly_signing_key_age_seconds",
    labels: labelNames(),
    unit: "seconds",
    meaning: "Age of the newest key that signs task tokens. From the ledger; broker only.",
  },
  {
    kind: "gauge",
    name: "mayfly_sealing_keys",
    labels: labelNames(),
    unit: "keys",
    meaning: "Sealing keys in this process's ring; more than one while a rotation goes on.",
  },
  {
    kind: "gauge",
    name: "mayfly_sealing_key_file_age_seconds",
    labels: labelNames(),
    unit: "seconds",
    meaning:
      "Since MAYFLY_SEALING_KEY_FILE was last written; left out where the ring is in a variable.",
  },
  {
    kind: "histogram",
    name: "mayfly_exchange_seconds",
    labels: labelNames("outcome"),
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    unit: "seconds",
    meaning: "Time of an exchange. `outcome` is `issued`, or the error code.",
  },
  {
    kind: "counter",
    name: "mayfly_decisions_total",
    labels: labelNames("effect"),
    unit: "decisions",
    meaning: "Decisions put on record, of issuing and renewing: `permit` or `deny`.",
  },
  {
    kind: "counter",
    name: "mayfly_denials_total",
    labels: labelNames("why"),
    unit: "decisions",
    meaning: "Denials put on record, by reason: `no_permit`, `forbidden` and others.",
  },
  {
    kind: "counter",
    name: "mayfly_idempotency_conflicts_total",
    labels: labelNames(),
    unit: "requests",
    meaning: "Exchanges refused because their Idempotency-Key was used with another request.",
  },
  {
    kind: "histogram",
    name: "mayfly_backend_call_seconds",
    labels: labelNames("backend", "operation", "outcome"),
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    unit: "seconds",
    meaning:
      "Time of a call to a backend. `operation` is `issue` for minting, or `revoke`, `probe`, " +
      "`recover`, `list`, `extend`, `selfCheck`; `outcome` is `ok` or `failed`.",
  },
  {
    kind: "gauge",
    name: "mayfly_backend_breaker",
    labels: labelNames("backend"),
    unit: "0, 1 or 2",
    meaning:
      "The breaker of a backend whose configuration has one, as this process sees it: 0 closed, " +
      "1 a trial is under way, 2 open: issuing fails at once until the next trial.",
  },
  {
    kind: "counter",
    name: "mayfly_backend_calls_held_back_total",
    labels: labelNames("backend", "reason"),
    unit: "calls",
    meaning:
      "Calls that the limits of a backend kept from being made. `reason` is `breaker`, `deadline` " +
      "(it waited too long for its turn), `queue_full`, `closed`, `paused` (the upstream asked some " +
      "process for fewer calls) or `ledger` (it keeps the rate, and could not be asked); the last " +
      "two of mints and renewals alone.",
  },
  {
    kind: "counter",
    name: "mayfly_backend_budget_draws_total",
    labels: labelNames("backend", "use", "outcome"),
    unit: "draws",
    meaning:
      "Times that this process asked the ledger for its part of a backend's rate. `use` is `mints` " +
      "or `ends`; `outcome` is `drawn`, `empty` (it asks again when there may be some), `paused`, " +
      "or `failed`: mints are refused, and ends go on at a rate of this process's own.",
  },
  {
    kind: "counter",
    name: "mayfly_backend_pauses_total",
    labels: labelNames("backend"),
    unit: "pauses",
    meaning:
      "Times that the upstream of a backend with a rate asked this process for fewer calls (429, " +
      "or a code of its own), upon which all processes pause.",
  },
  {
    kind: "histogram",
    name: "mayfly_revoke_seconds",
    labels: labelNames("backend"),
    buckets: [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
    unit: "seconds",
    meaning:
      "From the request of a lease's end, or its expiry, to the moment that a probe had seen the " +
      "backend refuse and the ledger had recorded it. Resurfaced leases are left out.",
  },
  {
    kind: "counter",
    name: "mayfly_lease_ends_total",
    labels: labelNames("backend", "outcome"),
    unit: "leases",
    meaning: "Leases that this process ended: `revoked`, `expired`, `absent`, `abandoned`.",
  },
  {
    kind: "counter",
    name: "mayfly_lease_retries_total",
    labels: labelNames("backend", "stuck"),
    unit: "attempts",
    meaning:
      "Attempts to end a lease that failed and will be repeated; `stuck` says if it is `stuck`.",
  },
  {
    kind: "counter",
    name: "mayfly_orphans_total",
    labels: labelNames("backend"),
    unit: "leases",
    meaning:
      "Credentials found alive at a backend without a live lease: reopened with the note " +
      "`resurfaced`.",
  },
  {
    kind: "counter",
    name: "mayfly_alien_marks_total",
    labels: labelNames("backend", "mark"),
    unit: "objects",
    meaning:
      "Marked objects seen by listings and left alone: `foreign` (of another installation) or " +
      "`unverified`. Each listing counts them again.",
  },
  {
    kind: "counter",
    name: "mayfly_strays_total",
    labels: labelNames(),
    unit: "leases and tasks",
    meaning: "Live leases and tasks that a sweep found under tasks which are not active.",
  },
  {
    kind: "histogram",
    name: "mayfly_sweep_seconds",
    labels: labelNames("outcome"),
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60],
    unit: "seconds",
    meaning: "Time of a sweep; `outcome` is `ok` or `failed`.",
  },
  {
    kind: "counter",
    name: "mayfly_tasks_opened_total",
    labels: labelNames(),
    unit: "tasks",
    meaning: "Tasks that exchanges of this process opened.",
  },
  {
    kind: "counter",
    name: "mayfly_task_ends_total",
    labels: labelNames("state"),
    unit: "tasks",
    meaning:
      "Ends of tasks that were requested through this process, by the state that they lead to.",
  },
  {
    kind: "counter",
    name: "mayfly_queue_wake_ups_total",
    labels: labelNames("kind", "outcome"),
    unit: "wake-ups",
    meaning: "Wake-ups given to the queue: `at` an expiry or `now`; `outcome` is `ok` or `failed`.",
  },
  {
    kind: "counter",
    name: "mayfly_queue_heard_total",
    labels: labelNames(),
    unit: "wake-ups",
    meaning: "Wake-ups that the queue delivered to this process.",
  },
  {
    kind: "counter",
    name: "mayfly_config_load_failures_total",
    labels: labelNames("part"),
    unit: "failures",
    meaning:
      "Failures to load configuration from the ledger: the `catalog`, or the stored configuration " +
      "of a `backend`.",
  },
  {
    kind: "histogram",
    name: "mayfly_ledger_call_seconds",
    labels: labelNames("call", "outcome"),
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10],
    unit: "seconds",
    meaning:
      "Time of a call to the ledger, waiting for a connection included. `outcome` is `ok`, or the " +
      "error code.",
  },
  {
    kind: "gauge",
    name: "mayfly_ledger_calls_in_flight",
    labels: labelNames(),
    unit: "calls",
    meaning: "Calls to the ledger under way, those waiting for a connection included.",
  },
  {
    kind: "gauge",
    name: "mayfly_ledger_connections_max",
    labels: labelNames(),
    unit: "connections",
    meaning: "Most connections of this process to the ledger (MAYFLY_DATABASE_CONNECTIONS).",
  },
  {
    kind: "histogram",
    name: "mayfly_outbound_http_seconds",
    labels: labelNames("outcome"),
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    unit: "seconds",
    meaning: "Time of an outbound HTTP request (keys of trust roots); `ok` or `failed`.",
  },
  {
    kind: "counter",
    name: "mayfly_http_requests_total",
    labels: labelNames("method", "route", "status"),
    unit: "requests",
    meaning: "Requests answered, by route pattern; `none` where no route matched.",
  },
  {
    kind: "histogram",
    name: "mayfly_http_request_seconds",
    labels: labelNames("route"),
    buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10, 30],
    unit: "seconds",
    meaning: "Time of a request from its headers to its answer, by route pattern.",
  },
  {
    kind: "gauge",
    name: "mayfly_http_requests_in_flight",
    labels: labelNames(),
    unit: "requests",
    meaning: "Requests under way.",
  },
  {
    kind: "gauge",
    name: "mayfly_http_connections",
    labels: labelNames(),
    unit: "connections",
    meaning: "Connections that the broker holds.",
  },
  {
    kind: "counter",
    name: "mayfly_http_connections_refused_total",
    labels: labelNames(),
    unit: "connections",
    meaning: "Connections closed unread, beyond MAYFLY_CONNECTIONS_MAX or a source's share of it.",
  },
  {
    kind: "gauge",
    name: "mayfly_broker_ready",
    labels: labelNames(),
    unit: "0 or 1",
    meaning:
      "Whether every check that `/readyz` requires is ok; 0 if that is not known in a second.",
  },
  {
    kind: "gauge",
    name: "mayfly_tls_certificate_expires_seconds",
    labels: labelNames(),
    unit: "seconds",
    meaning:
      "Until the certificate that the broker serves runs out; left out where it serves no TLS.",
  },
] as const satisfies readonly MetricDefinition[];
