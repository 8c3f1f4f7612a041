import type { ActivePolicies, TraceReply } from "@mayfly/core";
import type {
  EndPreview,
  EndSelector,
  EndTarget,
  ExposureSummary,
  Holder,
  InstantMs,
  LateEnd,
  PolicyUse,
  SelectorEnd,
  SelectorEndReport,
  Touch,
  WorkloadExposure,
} from "@mayfly/spec";
import type {
  endPreviewAnswer,
  exposureSummaryAnswer,
  holderAnswer,
  lateEndsAnswer,
  policyUseAnswer,
  selectorEndAnswer,
  selectorEndReportAnswer,
  touchedAnswer,
  traceAnswer,
} from "../schemas/answers-security.ts";
import type { View } from "../schemas/view.ts";
import { instantText, leaseView, taskView } from "./json-views.ts";

const instantOrNull = (at: InstantMs | null): string | null =>
  at === null ? null : instantText(at);

export const holderView = ({
  lease,
  task,
  initiator,
  policy,
}: Holder): View<typeof holderAnswer> => ({
  lease: leaseView(lease),
  initiator,
  task:
    task === null
      ? null
      : {
          id: task.id,
          state: task.state,
          goal: task.goal,
          ref: task.ref,
          trust_root: task.trustRoot,
        },
  policy:
    policy === null ? null : { digest: policy.digest, determining_policies: policy.determining },
});

export function touchView(touch: Touch): View<typeof touchedAnswer>["items"][number] {
  const at = instantText(touch.at);
  if (touch.kind === "lease") return { kind: "lease", at, holder: holderView(touch.holder) };
  return {
    kind: "denial",
    at,
    decision: touch.decisionId,
    role: touch.role,
    task: touch.taskId,
    determining_policies: touch.determining,
    policy_digest: touch.policyDigest,
  };
}

export const exposureSummaryView = ({
  leases,
  unknown,
  until,
}: ExposureSummary): View<typeof exposureSummaryAnswer> => ({
  leases,
  unknown,
  until: instantOrNull(until),
});

export const workloadExposureView = (exposure: WorkloadExposure) => ({
  workload: exposure.workload,
  as_of: instantText(exposure.asOf),
  leases: exposureSummaryView(exposure.leases),
  below: exposureSummaryView(exposure.below),
  tasks_active: exposure.tasksActive,
  tasks_until: instantOrNull(exposure.tasksUntil),
  may_draw: exposure.mayDraw,
});

export const lateEndView = (late: LateEnd): View<typeof lateEndsAnswer>["items"][number] => ({
  lease: leaseView(late.lease),
  due_at: instantText(late.dueAt),
  late_seconds: late.lateSeconds,
  why: late.why,
});

export const policyUseView = (
  active: ActivePolicies | null,
  use: PolicyUse | null,
): View<typeof policyUseAnswer> => ({
  digest: active?.digest ?? null,
  activated_at: instantOrNull(active?.activatedAt ?? null),
  uncounted: use?.uncounted ?? 0,
  policies: (use?.policies ?? []).map((policy) => ({
    id: policy.id,
    permits: policy.permits,
    denials: policy.denials,
    permits_ever: policy.permitsEver,
    denials_ever: policy.denialsEver,
    last_at: instantOrNull(policy.lastAt),
  })),
});

export const selectorView = (
  selector: EndSelector,
): View<typeof selectorEndAnswer>["selector"] => ({
  ...(selector.workload === undefined ? {} : { workload: selector.workload }),
  ...(selector.taskId === undefined ? {} : { task: selector.taskId }),
  ...(selector.backendId === undefined ? {} : { backend: selector.backendId }),
  ...(selector.role === undefined ? {} : { role: selector.role }),
  ...(selector.initiator === undefined ? {} : { initiator: selector.initiator }),
  ...(selector.trustRoot === undefined ? {} : { trust_root: selector.trustRoot }),
  ...(selector.trustDomain === undefined ? {} : { trust_domain: selector.trustDomain }),
});

export const selectorEndView = (end: SelectorEnd): View<typeof selectorEndAnswer> => ({
  id: end.id,
  target: end.target,
  selector: selectorView(end.selector),
  by: end.actor.name,
  reason: end.reason,
  requested_at: instantText(end.requestedAt),
  look_until: instantText(end.lookUntil),
  looks: end.looks,
  finished_at: instantOrNull(end.finishedAt),
  result: end.result,
});

export const endPreviewView = (
  target: EndTarget,
  selector: EndSelector,
  preview: EndPreview,
): View<typeof endPreviewAnswer> => ({
  dry_run: true,
  target,
  selector: selectorView(selector),
  tasks: preview.tasks,
  leases: preview.leases,
  ending_already: preview.endingAlready,
  groups: preview.groups.map(({ workload, role, backendId, leases }) => ({
    workload,
    role,
    backend: backendId,
    leases,
  })),
  task_ids: preview.taskIds,
  lease_ids: preview.leaseIds,
  digest: preview.digest,
});

export const selectorEndReportView = (
  report: SelectorEndReport,
): View<typeof selectorEndReportAnswer> => ({
  dry_run: false,
  end: selectorEndView(report.end),
  tasks: report.tasks,
  leases: report.leases,
  appeared: report.appeared,
  pending: report.pending,
  states: report.states,
  exposure: exposureSummaryView(report.exposure),
  items: report.page.items.map(leaseView),
  next: report.page.next,
});

/** With what to do next: nobody has to look for the command while a credential is out. */
export const traceView = ({ leases, tasks, tried }: TraceReply): View<typeof traceAnswer> => {
  const live = leases.filter(({ holder }) => holder.lease.exposure.kind !== "none");
  const active = new Set([
    ...live.flatMap(({ holder }) => (holder.task?.state === "active" ? [holder.task.id] : [])),
    ...tasks.filter(({ state }) => state === "active").map(({ id }) => id),
  ]);
  return {
    leases: leases.map(({ via, holder }) => ({ via, holder: holderView(holder) })),
    tasks: tasks.map(taskView),
    tried: {
      secrets: tried.secrets,
      lease_names: tried.leaseNames,
      task_names: tried.taskNames,
      truncated: tried.truncated,
    },
    todo: [
      ...live.map(({ holder }) => `mayfly lease end ${holder.lease.id}`),
      ...[...active].map((id) => `mayfly task kill ${id}`),
    ],
  };
};
