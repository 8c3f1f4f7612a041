import { json, jsonBody, type Operation } from "../openapi/operation.ts";
import {
  chainAnswer,
  endedTaskAnswer,
  heartbeatAnswer,
  taskAnswer,
  tasksAnswer,
} from "../schemas/answers.ts";
import { idShape } from "../schemas/shapes.ts";
import { endTaskSchema, heartbeatSchema, tasksQuery } from "../schemas/tasks.ts";

const params = { id: idShape("task") };

const end = (verb: string, state: string, summary: string): Operation => ({
  method: "post",
  path: `/v1/tasks/:id/${verb}`,
  id: `${verb}Task`,
  tag: "tasks",
  summary,
  description:
    `The task becomes \`${state}\`, and every lease of it and of its child tasks is ended. With ` +
    "`wait`, the answer comes when all have ended, or when the time is over; it says of each " +
    "lease what is still exposed. Ending what has ended is no error and changes nothing.",
  caller: "owner",
  params,
  body: jsonBody(endTaskSchema),
  answers: { 200: json("The task as it is now, and its leases.", endedTaskAnswer) },
});

export const TASK_OPERATIONS: readonly Operation[] = [
  {
    method: "get",
    path: "/v1/tasks",
    id: "listTasks",
    tag: "tasks",
    summary: "List tasks",
    caller: "administrator",
    query: tasksQuery,
    answers: { 200: json("Tasks, newest first.", tasksAnswer) },
  },
  {
    method: "get",
    path: "/v1/tasks/:id",
    id: "showTask",
    tag: "tasks",
    summary: "Show a task",
    caller: "owner",
    params,
    answers: { 200: json("The task.", taskAnswer) },
  },
  {
    method: "get",
    path: "/v1/tasks/:id/chain",
    id: "showTaskChain",
    tag: "tasks",
    summary: "Show a task with all that happened under it",
    caller: "owner",
    params,
    answers: { 200: json("The task, its child tasks, decisions, leases and events.", chainAnswer) },
  },
  {
    method: "post",
    path: "/v1/tasks/:id/heartbeat",
    id: "heartbeatTask",
    tag: "tasks",
    summary: "Keep a task alive and get a new task token",
    description:
      "Send the task's own token, or a fresh token of its workload. A task that is silent for its " +
      "idle timeout expires.",
    caller: "owner",
    params,
    body: jsonBody(heartbeatSchema),
    answers: { 200: json("The task and its new token.", heartbeatAnswer) },
    errors: ["task_ended", "replayed"],
  },
  end("complete", "completed", "End a task that is done"),
  end("fail", "failed", "End a task that failed"),
  end("cancel", "cancelled", "End a task that is not wanted any more"),
  end("kill", "killed", "End a task that must stop now"),
];
