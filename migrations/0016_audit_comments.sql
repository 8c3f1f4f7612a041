-- breaking: no
--
-- What each view and column of the auditor means: docs/audit-views.md is written from these words.

COMMENT ON VIEW mayfly_audit.holders IS
  'Who has or had which credential, on whose behalf, for which task, by which policy, and whether '
  'it might still work. One row for each lease.';
COMMENT ON COLUMN mayfly_audit.holders.lease_id IS
  'The lease: `lease_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.holders.workload IS
  'Who has it: the SPIFFE ID, or `<issuer>#<subject>`.';
COMMENT ON COLUMN mayfly_audit.holders.role IS
  'The role, such as `orders-db/reader`.';
COMMENT ON COLUMN mayfly_audit.holders.backend_id IS
  'Where it works.';
COMMENT ON COLUMN mayfly_audit.holders.state IS
  '`reserved`, `active`, `ending`, `ended` or `stuck`.';
COMMENT ON COLUMN mayfly_audit.holders.outcome IS
  'How it ended: `revoked`, `expired`, `absent` or `abandoned`; null before.';
COMMENT ON COLUMN mayfly_audit.holders.exposure IS
  '`none`, `until` (see `exposed_until`) or `unknown`, as of now.';
COMMENT ON COLUMN mayfly_audit.holders.exposed_until IS
  'Until when it might work, where that is known.';
COMMENT ON COLUMN mayfly_audit.holders.exposure_reason IS
  'Why: `unsettled`, `live`, `propagating`, `expires_upstream`, `gateway_cut` or `stuck`.';
COMMENT ON COLUMN mayfly_audit.holders.task_id IS
  'The task that drew it.';
COMMENT ON COLUMN mayfly_audit.holders.task_state IS
  'State of that task.';
COMMENT ON COLUMN mayfly_audit.holders.task_ref IS
  'The client''s own reference of the task.';
COMMENT ON COLUMN mayfly_audit.holders.task_goal IS
  'What the task says it is for; untrusted text.';
COMMENT ON COLUMN mayfly_audit.holders.initiator IS
  'On whose behalf; see `initiator_basis`.';
COMMENT ON COLUMN mayfly_audit.holders.initiator_basis IS
  '`verified` (it came in a token) or `claimed` (the client says so).';
COMMENT ON COLUMN mayfly_audit.holders.trust_root IS
  'The trust root that vouched for the workload.';
COMMENT ON COLUMN mayfly_audit.holders.decision_id IS
  'The decision that permitted it.';
COMMENT ON COLUMN mayfly_audit.holders.policy_digest IS
  'SHA-256 of the set of policies that decided; see `policy_bundles`.';
COMMENT ON COLUMN mayfly_audit.holders.determining_policies IS
  'Ids of the policies that permitted it, as a JSON array.';
COMMENT ON COLUMN mayfly_audit.holders.reserved_at IS
  'When its row was written, before the backend heard of it.';
COMMENT ON COLUMN mayfly_audit.holders.activated_at IS
  'When the credential was handed out; null if it never was.';
COMMENT ON COLUMN mayfly_audit.holders.expires_at IS
  'When it is to stop working.';
COMMENT ON COLUMN mayfly_audit.holders.end_requested_at IS
  'When its end was first asked for.';
COMMENT ON COLUMN mayfly_audit.holders.end_reason IS
  'Why, in the words of who asked.';
COMMENT ON COLUMN mayfly_audit.holders.ended_at IS
  'When it was known to work no more.';
COMMENT ON COLUMN mayfly_audit.holders.attempts IS
  'Failed attempts to end it.';
COMMENT ON COLUMN mayfly_audit.holders.last_error IS
  'What the last failed attempt met; no secret.';

COMMENT ON VIEW mayfly_audit.exposed_leases IS
  '`holders` that have not ended: what might still work. Fast whatever the history.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.lease_id IS
  'The lease: `lease_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.workload IS
  'Who has it: the SPIFFE ID, or `<issuer>#<subject>`.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.role IS
  'The role, such as `orders-db/reader`.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.backend_id IS
  'Where it works.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.state IS
  '`reserved`, `active`, `ending`, `ended` or `stuck`.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.outcome IS
  'How it ended: `revoked`, `expired`, `absent` or `abandoned`; null before.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.exposure IS
  '`none`, `until` (see `exposed_until`) or `unknown`, as of now.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.exposed_until IS
  'Until when it might work, where that is known.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.exposure_reason IS
  'Why: `unsettled`, `live`, `propagating`, `expires_upstream`, `gateway_cut` or `stuck`.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.task_id IS
  'The task that drew it.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.task_state IS
  'State of that task.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.task_ref IS
  'The client''s own reference of the task.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.task_goal IS
  'What the task says it is for; untrusted text.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.initiator IS
  'On whose behalf; see `initiator_basis`.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.initiator_basis IS
  '`verified` (it came in a token) or `claimed` (the client says so).';
COMMENT ON COLUMN mayfly_audit.exposed_leases.trust_root IS
  'The trust root that vouched for the workload.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.decision_id IS
  'The decision that permitted it.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.policy_digest IS
  'SHA-256 of the set of policies that decided; see `policy_bundles`.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.determining_policies IS
  'Ids of the policies that permitted it, as a JSON array.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.reserved_at IS
  'When its row was written, before the backend heard of it.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.activated_at IS
  'When the credential was handed out; null if it never was.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.expires_at IS
  'When it is to stop working.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.end_requested_at IS
  'When its end was first asked for.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.end_reason IS
  'Why, in the words of who asked.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.ended_at IS
  'When it was known to work no more.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.attempts IS
  'Failed attempts to end it.';
COMMENT ON COLUMN mayfly_audit.exposed_leases.last_error IS
  'What the last failed attempt met; no secret.';

COMMENT ON VIEW mayfly_audit.touched IS
  'All that a workload asked for: its leases and its denials. Filter by `workload`.';
COMMENT ON COLUMN mayfly_audit.touched.workload IS
  'Who asked: the SPIFFE ID, or `<issuer>#<subject>`.';
COMMENT ON COLUMN mayfly_audit.touched.what IS
  '`lease` or `denial`.';
COMMENT ON COLUMN mayfly_audit.touched.lease_id IS
  'The lease; null for a denial.';
COMMENT ON COLUMN mayfly_audit.touched.decision_id IS
  'The decision.';
COMMENT ON COLUMN mayfly_audit.touched.role IS
  'The role that was asked for.';
COMMENT ON COLUMN mayfly_audit.touched.backend_id IS
  'The role''s backend.';
COMMENT ON COLUMN mayfly_audit.touched.task_id IS
  'The task; null where none was opened for it.';
COMMENT ON COLUMN mayfly_audit.touched.state IS
  'State of the lease; null for a denial.';
COMMENT ON COLUMN mayfly_audit.touched.at IS
  'When.';

COMMENT ON VIEW mayfly_audit.late_ends IS
  'Leases that ended more than a second after they were due, or are overdue by more than that now.';
COMMENT ON COLUMN mayfly_audit.late_ends.lease_id IS
  'The lease.';
COMMENT ON COLUMN mayfly_audit.late_ends.workload IS
  'Who had it.';
COMMENT ON COLUMN mayfly_audit.late_ends.role IS
  'The role.';
COMMENT ON COLUMN mayfly_audit.late_ends.backend_id IS
  'Where it works.';
COMMENT ON COLUMN mayfly_audit.late_ends.task_id IS
  'The task that drew it.';
COMMENT ON COLUMN mayfly_audit.late_ends.state IS
  '`ended`, or what it is while it is late.';
COMMENT ON COLUMN mayfly_audit.late_ends.outcome IS
  'How it ended; null before.';
COMMENT ON COLUMN mayfly_audit.late_ends.due_at IS
  'When it should have ended: its expiry, or when its end was requested if that was earlier; '
  '`settle_by` of one that was never activated.';
COMMENT ON COLUMN mayfly_audit.late_ends.ended_at IS
  'When it did; null while it is late.';
COMMENT ON COLUMN mayfly_audit.late_ends.end_reason IS
  'Why it was to end; `resurfaced` if it was found again after its end.';
COMMENT ON COLUMN mayfly_audit.late_ends.attempts IS
  'Failed attempts to end it.';
COMMENT ON COLUMN mayfly_audit.late_ends.last_error IS
  'What the last failed attempt met.';
COMMENT ON COLUMN mayfly_audit.late_ends.late_seconds IS
  'How late, in seconds; until now for one that has not ended.';

COMMENT ON VIEW mayfly_audit.active_policy_use IS
  'The policies of the active set, with their use: those with `permits_ever` 0 have never '
  'permitted anything. Ids are read from the text of the policies.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.policy_id IS
  'The policy''s `@id`.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.policy_digest IS
  'The active set.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.activated_at IS
  'Since when it is active.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.permits IS
  'Permits that it determined under this set.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.denials IS
  'Denials that it determined under this set.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.permits_ever IS
  'Permits under whichever set had a policy of this id.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.denials_ever IS
  'Denials under whichever set had a policy of this id.';
COMMENT ON COLUMN mayfly_audit.active_policy_use.last_at IS
  'When it last determined anything; null for never.';

COMMENT ON VIEW mayfly_audit.policy_use IS
  'How often each policy determined a decision, for each set of policies that it was part of. '
  'Counted in the order of the log, some seconds behind.';
COMMENT ON COLUMN mayfly_audit.policy_use.policy_id IS
  'The policy''s `@id`.';
COMMENT ON COLUMN mayfly_audit.policy_use.policy_digest IS
  'The set of policies; see `policy_bundles`.';
COMMENT ON COLUMN mayfly_audit.policy_use.active IS
  'Whether that set is the active one.';
COMMENT ON COLUMN mayfly_audit.policy_use.permits IS
  'How many permits it determined.';
COMMENT ON COLUMN mayfly_audit.policy_use.denials IS
  'How many denials it determined.';
COMMENT ON COLUMN mayfly_audit.policy_use.first_at IS
  'The first of these.';
COMMENT ON COLUMN mayfly_audit.policy_use.last_at IS
  'The last of these.';

COMMENT ON VIEW mayfly_audit.administration IS
  'What changed in the configuration and who did it: events that are neither a task''s, a '
  'lease''s nor a decision''s.';
COMMENT ON COLUMN mayfly_audit.administration.id IS
  'The event: `evt_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.administration.at IS
  'When.';
COMMENT ON COLUMN mayfly_audit.administration.kind IS
  'What happened, such as `role.put`.';
COMMENT ON COLUMN mayfly_audit.administration.actor_kind IS
  '`administrator`, `workload` or `system`.';
COMMENT ON COLUMN mayfly_audit.administration.actor IS
  'Name of who did it.';
COMMENT ON COLUMN mayfly_audit.administration.data IS
  'What exactly, as JSON; no secret.';
COMMENT ON COLUMN mayfly_audit.administration.log_index IS
  'Its place in the log; null until it has one.';

COMMENT ON VIEW mayfly_audit.selector_ends IS
  'Ends by selector: `mayfly lease end` and `mayfly task kill` without ids. One row each.';
COMMENT ON COLUMN mayfly_audit.selector_ends.id IS
  'The end: `end_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.selector_ends.target IS
  '`leases` or `tasks`.';
COMMENT ON COLUMN mayfly_audit.selector_ends.selector IS
  'What it was aimed at, as JSON: all of it together.';
COMMENT ON COLUMN mayfly_audit.selector_ends.actor IS
  'Who asked, as JSON.';
COMMENT ON COLUMN mayfly_audit.selector_ends.reason IS
  'Why, in the words of who asked.';
COMMENT ON COLUMN mayfly_audit.selector_ends.requested_at IS
  'When it was asked for.';
COMMENT ON COLUMN mayfly_audit.selector_ends.look_until IS
  'Until when it looked for new ones at least.';
COMMENT ON COLUMN mayfly_audit.selector_ends.looks IS
  'How often it looked again.';
COMMENT ON COLUMN mayfly_audit.selector_ends.finished_at IS
  'When it was through; null while it goes on.';
COMMENT ON COLUMN mayfly_audit.selector_ends.result IS
  '`none_left`, or `still_appearing` where new ones turned up to the end.';

COMMENT ON VIEW mayfly_audit.selector_end_members IS
  'What each end by selector found: its tasks and leases.';
COMMENT ON COLUMN mayfly_audit.selector_end_members.end_id IS
  'The end; see `selector_ends`.';
COMMENT ON COLUMN mayfly_audit.selector_end_members.kind IS
  '`task` or `lease`.';
COMMENT ON COLUMN mayfly_audit.selector_end_members.member_id IS
  'Id of the task or lease.';
COMMENT ON COLUMN mayfly_audit.selector_end_members.appeared IS
  'Whether it came to be after the request.';
COMMENT ON COLUMN mayfly_audit.selector_end_members.pending IS
  'Whether its own end is still to be requested.';

COMMENT ON VIEW mayfly_audit.leases IS
  'The life of each credential. One row each; `holders` has the same with task, initiator and '
  'policy.';
COMMENT ON COLUMN mayfly_audit.leases.id IS
  'The lease: `lease_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.leases.task_id IS
  'The task that drew it; null only where a restore lost the row.';
COMMENT ON COLUMN mayfly_audit.leases.workload IS
  'Who has the credential: the SPIFFE ID, or `<issuer>#<subject>`.';
COMMENT ON COLUMN mayfly_audit.leases.role IS
  'The role, such as `orders-db/reader`.';
COMMENT ON COLUMN mayfly_audit.leases.decision_id IS
  'The decision that permitted it.';
COMMENT ON COLUMN mayfly_audit.leases.backend_id IS
  'Where the credential works.';
COMMENT ON COLUMN mayfly_audit.leases.backend_type IS
  'Type of the backend.';
COMMENT ON COLUMN mayfly_audit.leases.backend_revision IS
  'Revision of the backend''s configuration that it was issued under.';
COMMENT ON COLUMN mayfly_audit.leases.plan IS
  'Exactly what was asked of the backend, as JSON; no secret.';
COMMENT ON COLUMN mayfly_audit.leases.state IS
  '`reserved`, `active`, `ending`, `ended` or `stuck`.';
COMMENT ON COLUMN mayfly_audit.leases.outcome IS
  'How it ended: `revoked`, `expired`, `absent` or `abandoned`; null before.';
COMMENT ON COLUMN mayfly_audit.leases.exposed IS
  'Whether the credential might still work.';
COMMENT ON COLUMN mayfly_audit.leases.exposure IS
  'Set while a quarantine or a propagation runs, as JSON; `holders.exposure` always tells.';
COMMENT ON COLUMN mayfly_audit.leases.fingerprint IS
  'Keyed hash of the credential: the same string has the same one, and it tells nothing of it.';
COMMENT ON COLUMN mayfly_audit.leases.reserved_at IS
  'When its row was written, before the backend heard of it.';
COMMENT ON COLUMN mayfly_audit.leases.issue_by IS
  'Nothing is sent to the backend to make it after this.';
COMMENT ON COLUMN mayfly_audit.leases.settle_by IS
  'By then it is known whether it was made.';
COMMENT ON COLUMN mayfly_audit.leases.activated_at IS
  'When the credential was handed out; null if it never was.';
COMMENT ON COLUMN mayfly_audit.leases.expires_at IS
  'When it is to stop working.';
COMMENT ON COLUMN mayfly_audit.leases.end_requested_at IS
  'When its end was first asked for.';
COMMENT ON COLUMN mayfly_audit.leases.end_reason IS
  'Why, in the words of who asked.';
COMMENT ON COLUMN mayfly_audit.leases.ended_at IS
  'When it was known to work no more.';
COMMENT ON COLUMN mayfly_audit.leases.due_at IS
  'When a worker looks at it next.';
COMMENT ON COLUMN mayfly_audit.leases.attempts IS
  'Failed attempts to end it.';
COMMENT ON COLUMN mayfly_audit.leases.last_error IS
  'What the last failed attempt met; no secret.';
COMMENT ON COLUMN mayfly_audit.leases.looked IS
  'What the last probe or recovery looked at, as JSON.';
COMMENT ON COLUMN mayfly_audit.leases.work IS
  'What has to be done about it: `revoke` or `recover`.';
COMMENT ON COLUMN mayfly_audit.leases.has_handle IS
  'Whether there is something to revoke it by.';

COMMENT ON VIEW mayfly_audit.tasks IS
  'Tasks: who asked for what, on whose behalf, and how it ended. One row each.';
COMMENT ON COLUMN mayfly_audit.tasks.id IS
  'The task: `task_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.tasks.parent_id IS
  'The task that it is below; null for one at the top.';
COMMENT ON COLUMN mayfly_audit.tasks.root_id IS
  'The task at the top of its tree; its own id for one at the top.';
COMMENT ON COLUMN mayfly_audit.tasks.ancestors IS
  'All tasks above it, the topmost first.';
COMMENT ON COLUMN mayfly_audit.tasks.depth IS
  'How many tasks are above it.';
COMMENT ON COLUMN mayfly_audit.tasks.workload IS
  'The verified identity, as JSON: trust root, kind, issuer, subject, attributes.';
COMMENT ON COLUMN mayfly_audit.tasks.workload_name IS
  'The SPIFFE ID, or `<issuer>#<subject>`.';
COMMENT ON COLUMN mayfly_audit.tasks.verified_initiator IS
  'On whose behalf, where a token proved it; else null.';
COMMENT ON COLUMN mayfly_audit.tasks.claimed_initiator IS
  'On whose behalf, as the client says it; no policy sees it.';
COMMENT ON COLUMN mayfly_audit.tasks.ref IS
  'The client''s own reference.';
COMMENT ON COLUMN mayfly_audit.tasks.descriptor IS
  'The immutable description, as JSON. `goal` is untrusted text.';
COMMENT ON COLUMN mayfly_audit.tasks.confirmation IS
  'Thumbprint (RFC 7638) of the key that its task tokens are bound to; null for bearer tokens.';
COMMENT ON COLUMN mayfly_audit.tasks.state IS
  '`active`, `completed`, `failed`, `cancelled`, `expired` or `killed`.';
COMMENT ON COLUMN mayfly_audit.tasks.opened_at IS
  'When it was opened.';
COMMENT ON COLUMN mayfly_audit.tasks.deadline_at IS
  'When it ends at the latest.';
COMMENT ON COLUMN mayfly_audit.tasks.last_heartbeat_at IS
  'When it was last heard of.';
COMMENT ON COLUMN mayfly_audit.tasks.identity_proven_at IS
  'When its workload last proved its identity afresh.';
COMMENT ON COLUMN mayfly_audit.tasks.ended_at IS
  'When it left `active`; null while it is.';
COMMENT ON COLUMN mayfly_audit.tasks.end_reason IS
  'Why, in the words of who ended it.';
COMMENT ON COLUMN mayfly_audit.tasks.end_requested IS
  'Whether an end of it, or of a task above it, was requested.';
COMMENT ON COLUMN mayfly_audit.tasks.verified_initiator_trust_root IS
  'The trust root that vouched for the verified initiator.';
COMMENT ON COLUMN mayfly_audit.tasks.idle_timeout_seconds IS
  'How long it may be silent.';

COMMENT ON VIEW mayfly_audit.decisions IS
  'Verdicts of the policy engine. A permit of a lease is in `leases.decision_id`. One row each.';
COMMENT ON COLUMN mayfly_audit.decisions.id IS
  'The decision: `dec_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.decisions.task_id IS
  'The task that it is about; null where a task was not opened for it.';
COMMENT ON COLUMN mayfly_audit.decisions.workload IS
  'Who asked: the SPIFFE ID, or `<issuer>#<subject>`.';
COMMENT ON COLUMN mayfly_audit.decisions.role IS
  'The role that was asked for.';
COMMENT ON COLUMN mayfly_audit.decisions.effect IS
  '`permit` or `deny`.';
COMMENT ON COLUMN mayfly_audit.decisions.request IS
  'All that was decided on, as JSON.';
COMMENT ON COLUMN mayfly_audit.decisions.verdict IS
  'The verdict as JSON: effect, determining policies, explanation.';
COMMENT ON COLUMN mayfly_audit.decisions.policy_digest IS
  'SHA-256 of the set of policies that decided; see `policy_bundles`.';
COMMENT ON COLUMN mayfly_audit.decisions.decided_at IS
  'When, by the clock of the broker.';
COMMENT ON COLUMN mayfly_audit.decisions.recorded_at IS
  'When the ledger wrote it.';

COMMENT ON VIEW mayfly_audit.events IS
  'The history, entry by entry, with its place in the log.';
COMMENT ON COLUMN mayfly_audit.events.id IS
  'The event: `evt_` and these digits without dashes.';
COMMENT ON COLUMN mayfly_audit.events.kind IS
  'What happened, such as `lease.ended`.';
COMMENT ON COLUMN mayfly_audit.events.at IS
  'When, in whole milliseconds.';
COMMENT ON COLUMN mayfly_audit.events.actor IS
  'Who caused it, as JSON: kind and name.';
COMMENT ON COLUMN mayfly_audit.events.task_id IS
  'The task that it is about.';
COMMENT ON COLUMN mayfly_audit.events.lease_id IS
  'The lease that it is about.';
COMMENT ON COLUMN mayfly_audit.events.decision_id IS
  'The decision that it is about.';
COMMENT ON COLUMN mayfly_audit.events.data IS
  'What exactly, as JSON; no secret.';
COMMENT ON COLUMN mayfly_audit.events.log_index IS
  'Its place in the log; null until it has one.';
COMMENT ON COLUMN mayfly_audit.events.leaf_hash IS
  'SHA-256 of the event.';
COMMENT ON COLUMN mayfly_audit.events.chain_hash IS
  'SHA-256 over the chain hash before it and its leaf hash.';

COMMENT ON VIEW mayfly_audit.log_entries IS
  'The log: the order of events and the chain of their hashes.';
COMMENT ON COLUMN mayfly_audit.log_entries.log_index IS
  'The place, from 0, without gaps.';
COMMENT ON COLUMN mayfly_audit.log_entries.event_id IS
  'The event.';
COMMENT ON COLUMN mayfly_audit.log_entries.leaf_hash IS
  'SHA-256 of the event.';
COMMENT ON COLUMN mayfly_audit.log_entries.chain_hash IS
  'SHA-256 over the chain hash before it and its leaf hash.';

COMMENT ON VIEW mayfly_audit.log_head IS
  'Where the log ends. One row.';
COMMENT ON COLUMN mayfly_audit.log_head.entries IS
  'How many entries there are.';
COMMENT ON COLUMN mayfly_audit.log_head.chain_hash IS
  'Chain hash of the last one.';

COMMENT ON VIEW mayfly_audit.log_cuts IS
  'Where old months left the ledger: exported, then detached.';
COMMENT ON COLUMN mayfly_audit.log_cuts.log_index IS
  'The first entry that stayed.';
COMMENT ON COLUMN mayfly_audit.log_cuts.chain_hash IS
  'Chain hash of the entry before it.';
COMMENT ON COLUMN mayfly_audit.log_cuts.kept_from_id IS
  'Rows of tasks, decisions, leases and end requests with an older id left too.';
COMMENT ON COLUMN mayfly_audit.log_cuts.log_sha256 IS
  'SHA-256 of the exported log.';
COMMENT ON COLUMN mayfly_audit.log_cuts.rows_sha256 IS
  'SHA-256 of the exported rows.';
COMMENT ON COLUMN mayfly_audit.log_cuts.cut_at IS
  'When.';

COMMENT ON VIEW mayfly_audit.events_pending IS
  'Events that have no place in the log yet.';
COMMENT ON COLUMN mayfly_audit.events_pending.event_id IS
  'The event.';

COMMENT ON VIEW mayfly_audit.backends IS
  'Backends, a row for each revision of their configuration.';
COMMENT ON COLUMN mayfly_audit.backends.id IS
  'Name of the backend.';
COMMENT ON COLUMN mayfly_audit.backends.type IS
  'Its type.';
COMMENT ON COLUMN mayfly_audit.backends.revision IS
  'The revision that this row is of.';
COMMENT ON COLUMN mayfly_audit.backends.current IS
  'Whether it is the current one.';
COMMENT ON COLUMN mayfly_audit.backends.enabled IS
  'Whether it issues; ending it always does.';
COMMENT ON COLUMN mayfly_audit.backends.described_config IS
  'The configuration without secrets, as JSON.';
COMMENT ON COLUMN mayfly_audit.backends.upstream_identity IS
  'What the backend says it is, as the self-check found it.';
COMMENT ON COLUMN mayfly_audit.backends.created_at IS
  'When this revision was registered.';
COMMENT ON COLUMN mayfly_audit.backends.deleted_at IS
  'When the backend was deleted; null while it is registered.';

COMMENT ON VIEW mayfly_audit.roles IS
  'Roles as they are registered now, deleted ones too.';
COMMENT ON COLUMN mayfly_audit.roles.name IS
  'Such as `orders-db/reader`.';
COMMENT ON COLUMN mayfly_audit.roles.backend_id IS
  'Its backend.';
COMMENT ON COLUMN mayfly_audit.roles.definition IS
  'What may be asked, its ceilings, data class and reversibility, as JSON.';
COMMENT ON COLUMN mayfly_audit.roles.updated_at IS
  'When it last changed.';
COMMENT ON COLUMN mayfly_audit.roles.deleted_at IS
  'When it was deleted; null while it is registered.';
COMMENT ON COLUMN mayfly_audit.roles.revision IS
  'Counts its changes.';

COMMENT ON VIEW mayfly_audit.trust_roots IS
  'Trust roots as they are registered now, deleted ones too.';
COMMENT ON COLUMN mayfly_audit.trust_roots.name IS
  'Name of the trust root.';
COMMENT ON COLUMN mayfly_audit.trust_roots.definition IS
  'Kind, keys or issuer, and what its identities may do, as JSON.';
COMMENT ON COLUMN mayfly_audit.trust_roots.updated_at IS
  'When it last changed.';
COMMENT ON COLUMN mayfly_audit.trust_roots.deleted_at IS
  'When it was deleted; null while it is registered.';
COMMENT ON COLUMN mayfly_audit.trust_roots.revision IS
  'Counts its changes.';

COMMENT ON VIEW mayfly_audit.policy_bundles IS
  'Sets of policies that were ever activated.';
COMMENT ON COLUMN mayfly_audit.policy_bundles.digest IS
  'SHA-256 of the set in normal form.';
COMMENT ON COLUMN mayfly_audit.policy_bundles.sources IS
  'The files, as JSON: name and text.';
COMMENT ON COLUMN mayfly_audit.policy_bundles.stored_at IS
  'When it was first stored.';
COMMENT ON COLUMN mayfly_audit.policy_bundles.activated_at IS
  'When it was last activated; null unless it is active.';
COMMENT ON COLUMN mayfly_audit.policy_bundles.active IS
  'Whether it decides now.';

COMMENT ON VIEW mayfly_audit.signing_keys IS
  'Public halves of the keys that sign task tokens.';
COMMENT ON COLUMN mayfly_audit.signing_keys.kid IS
  'Id of the key.';
COMMENT ON COLUMN mayfly_audit.signing_keys.public_jwk IS
  'The public key, as a JWK (RFC 7517).';
COMMENT ON COLUMN mayfly_audit.signing_keys.created_at IS
  'When it was made.';
COMMENT ON COLUMN mayfly_audit.signing_keys.signs_from_at IS
  'From when it signs.';
COMMENT ON COLUMN mayfly_audit.signing_keys.verifies_until_at IS
  'Until when it verifies; null for the newest.';

COMMENT ON VIEW mayfly_audit.sweeps IS
  'When sweeps and listings last finished.';
COMMENT ON COLUMN mayfly_audit.sweeps.backend_id IS
  'The backend that was listed; empty for the sweep over the ledger''s own rows.';
COMMENT ON COLUMN mayfly_audit.sweeps.finished_at IS
  'When.';

COMMENT ON VIEW mayfly_audit.installation IS
  'This installation. One row.';
COMMENT ON COLUMN mayfly_audit.installation.id IS
  'Its random id, part of every name that it makes.';
COMMENT ON COLUMN mayfly_audit.installation.created_at IS
  'When it was made.';

COMMENT ON VIEW mayfly_audit.schema_versions IS
  'Migrations that ran.';
COMMENT ON COLUMN mayfly_audit.schema_versions.version IS
  'Number of the migration.';
COMMENT ON COLUMN mayfly_audit.schema_versions.name IS
  'Its file.';
COMMENT ON COLUMN mayfly_audit.schema_versions.checksum IS
  'SHA-256 of its text.';
COMMENT ON COLUMN mayfly_audit.schema_versions.breaking IS
  'Whether a process that does not know it may not work on this schema.';
COMMENT ON COLUMN mayfly_audit.schema_versions.applied_at IS
  'When it ran.';
