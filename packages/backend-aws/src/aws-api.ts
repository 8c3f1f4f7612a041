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
import type { AccountSettings } from "./account-settings.ts";
import {
  brokerCredentials,
  type BrokerCredentials,
  type LoginSettings,
} from "./broker-credentials.ts";
import { clientOptions, type Transports } from "./client-options.ts";
import { LoginChoice, eachKey } from "./login-choice.ts";
import { callAws, type SdkCall } from "./transport.ts";

export type AwsApi = ReturnType<typeof createAwsApi>;

interface Login {
  readonly sts: STSClient;
  readonly iam: IAMClient;
}

/** What is asked of AWS. Each call rejects with an `AwsFailure`, or what `beforeSend` throws. */
export function createAwsApi(settings: AccountSettings, host: BackendHost, transports: Transports) {
  const logins = loginsOf(settings, host, transports);
  const choice = new LoginChoice(logins);
  type Before = () => void;
  const call = <T>(
    context: CallContext,
    send: (login: Login, options: SdkCall) => Promise<T>,
    before?: Before,
  ): Promise<T> =>
    choice.use((login) => callAws(context, (options) => send(login, options), before));
  return {
    assumeRole: (input: AssumeRoleCommandInput, context: CallContext, before?: Before) =>
      call(context, ({ sts }, options) => sts.send(new AssumeRoleCommand(input), options), before),
    getCallerIdentity: (context: CallContext) =>
      call(context, ({ sts }, options) => sts.send(new GetCallerIdentityCommand({}), options)),
    getRole: (input: GetRoleCommandInput, context: CallContext) =>
      call(context, ({ iam }, options) => iam.send(new GetRoleCommand(input), options)),
    listRolePolicies: (input: ListRolePoliciesCommandInput, context: CallContext) =>
      call(context, ({ iam }, options) => iam.send(new ListRolePoliciesCommand(input), options)),
    getRolePolicy: (input: GetRolePolicyCommandInput, context: CallContext) =>
      call(context, ({ iam }, options) => iam.send(new GetRolePolicyCommand(input), options)),
    putRolePolicy: (input: PutRolePolicyCommandInput, context: CallContext, before?: Before) =>
      call(
        context,
        ({ iam }, options) => iam.send(new PutRolePolicyCommand(input), options),
        before,
      ),
    deleteRolePolicy: (
      input: DeleteRolePolicyCommandInput,
      context: CallContext,
      before?: Before,
    ) =>
      call(
        context,
        ({ iam }, options) => iam.send(new DeleteRolePolicyCommand(input), options),
        before,
      ),
    close: () => {
      for (const { sts, iam } of logins) {
        sts.destroy();
        iam.destroy();
      }
    },
  };
}

/**
 * One; two while the key of a user is replaced. Then the old one first: registering checks the new
 * key beside it before both are sealed, and what was used could not be told from somebody else's.
 */
function loginsOf(
  settings: AccountSettings,
  host: BackendHost,
  transports: Transports,
): readonly [Login, ...Login[]] {
  const stsWith = (own: BrokerCredentials | undefined) =>
    new STSClient(clientOptions(settings, transports, "sts", own));
  const loginBy = (own: LoginSettings): Login => {
    const credentials = brokerCredentials(own, host, stsWith);
    const sts = stsWith(credentials);
    // What the SDK's own chain asks of STS goes by the client that it was found for.
    const forIam = credentials ?? sts.config.credentials;
    return { sts, iam: new IAMClient(clientOptions(settings, transports, "iam", forIam)) };
  };
  const { chain, credentials } = settings;
  if (credentials.kind !== "keys") return [loginBy(settings)];
  const [first, ...others] = eachKey(credentials)
    .toReversed()
    .map((key) => loginBy({ chain, credentials: key }));
  if (first === undefined) throw new TypeError("a configuration with keys has one");
  return [first, ...others];
}
