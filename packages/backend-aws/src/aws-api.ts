import {
  DeleteRolePolicyCommand,
  GetRoleCommand,
  GetRolePolicyCommand,
  IAMClient,
  ListRolePoliciesCommand,
  PutRolePolicyCommand,
  type DeleteRolePolicyCommandInput,
  type GetRoleCommandInput,
  type GetRolePolicyCommandInput,
  type ListRolePoliciesCommandInput,
  type PutRolePolicyCommandInput,
} from "@aws-sdk/client-iam";
import {
  AssumeRoleCommand,
  GetCallerIdentityCommand,
  STSClient,
  type AssumeRoleCommandInput,
} from "@aws-sdk/client-sts";
import type { BackendHost, CallContext } from "@mayfly/spec";
import { addressOf, type AccountSettings } from "./account-settings.ts";
import { brokerCredentials, type BrokerCredentials } from "./broker-credentials.ts";
import { callAws, type Transport } from "./transport.ts";

export type AwsApi = ReturnType<typeof createAwsApi>;
export type Transports = Readonly<Record<"sts" | "iam", Transport>>;

/** What is asked of AWS. Each call rejects with an `AwsFailure`, or what `beforeSend` throws. */
export function createAwsApi(settings: AccountSettings, host: BackendHost, transports: Transports) {
  /** All that the SDK would else read of the environment and its files. */
  const options = (service: "sts" | "iam", credentials: BrokerCredentials | undefined) => {
    const { region, origin: endpoint } = addressOf(settings, service);
    return {
      region,
      endpoint,
      requestHandler: transports[service].handler,
      maxAttempts: 1,
      retryMode: "standard",
      defaultsMode: "standard" as const,
      useFipsEndpoint: false,
      useDualstackEndpoint: false,
      ...(credentials === undefined ? {} : { credentials }),
    };
  };
  const stsWith = (own: BrokerCredentials | undefined) => new STSClient(options("sts", own));
  const credentials = brokerCredentials(settings, host, stsWith);
  const sts = stsWith(credentials);
  // What the SDK's own chain asks of STS goes by the client that it was found for.
  const iam = new IAMClient(options("iam", credentials ?? sts.config.credentials));
  type Before = () => void;
  return {
    assumeRole: (input: AssumeRoleCommandInput, context: CallContext, before?: Before) =>
      callAws(context, (call) => sts.send(new AssumeRoleCommand(input), call), before),
    getCallerIdentity: (context: CallContext) =>
      callAws(context, (call) => sts.send(new GetCallerIdentityCommand({}), call)),
    getRole: (input: GetRoleCommandInput, context: CallContext) =>
      callAws(context, (call) => iam.send(new GetRoleCommand(input), call)),
    listRolePolicies: (input: ListRolePoliciesCommandInput, context: CallContext) =>
      callAws(context, (call) => iam.send(new ListRolePoliciesCommand(input), call)),
    getRolePolicy: (input: GetRolePolicyCommandInput, context: CallContext) =>
      callAws(context, (call) => iam.send(new GetRolePolicyCommand(input), call)),
    putRolePolicy: (input: PutRolePolicyCommandInput, context: CallContext, before?: Before) =>
      callAws(context, (call) => iam.send(new PutRolePolicyCommand(input), call), before),
    deleteRolePolicy: (
      input: DeleteRolePolicyCommandInput,
      context: CallContext,
      before?: Before,
    ) => callAws(context, (call) => iam.send(new DeleteRolePolicyCommand(input), call), before),
    close: () => {
      sts.destroy();
      iam.destroy();
    },
  };
}
