import {
  CreateAccessKeyCommand,
  DeleteAccessKeyCommand,
  GetAccessKeyLastUsedCommand,
  IAMClient,
  ListAccessKeysCommand,
  UpdateAccessKeyCommand,
} from "@aws-sdk/client-iam";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import type { CallContext } from "@mayfly/spec";
import type { AccountSettings, UserKeys } from "./account-settings.ts";
import { AwsFailure } from "./aws-failure.ts";
import { clientOptions, type Transports } from "./client-options.ts";
import { callAws } from "./transport.ts";

export type UserApi = ReturnType<typeof createUserApi>;

export interface ListedKey {
  readonly id: string;
  readonly isActive: boolean;
  readonly createdAt: Date | null;
}

/**
 * What an IAM user asks about its own access keys, by one of them and without the chain: IAM takes
 * the user of whose key the signature is. A user has two keys at most, so that nothing is paged.
 */
export function createUserApi(settings: AccountSettings, transports: Transports, keys: UserKeys) {
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey } = keys;
  const credentials = async () => ({ accessKeyId, secretAccessKey });
  const iam = new IAMClient(clientOptions(settings, transports, "iam", credentials));
  const sts = new STSClient(clientOptions(settings, transports, "sts", credentials));
  return {
    keyId: accessKeyId,
    /** Resolves where both services accept the key. */
    prove: async (context: CallContext): Promise<void> => {
      await callAws(context, (call) => sts.send(new GetCallerIdentityCommand({}), call));
      await callAws(context, (call) => iam.send(new ListAccessKeysCommand({}), call));
    },
    listKeys: async (context: CallContext): Promise<readonly ListedKey[]> => {
      const { AccessKeyMetadata: found = [] } = await callAws(context, (call) =>
        iam.send(new ListAccessKeysCommand({}), call),
      );
      return found.map(({ AccessKeyId: id, Status: status, CreateDate: createdAt = null }) => {
        if (id === undefined) throw new AwsFailure("lost", "the answer has a key without an id");
        return { id, isActive: status === "Active", createdAt };
      });
    },
    wasUsed: async (id: string, context: CallContext): Promise<boolean> => {
      const command = new GetAccessKeyLastUsedCommand({ AccessKeyId: id });
      const { AccessKeyLastUsed: last } = await callAws(context, (call) => iam.send(command, call));
      return last?.LastUsedDate !== undefined;
    },
    /** Of all that these ask, the one that may not be sent twice. */
    createKey: async (context: CallContext): Promise<Omit<UserKeys, "kind" | "previous">> => {
      const { AccessKey: made } = await callAws(context, (call) =>
        iam.send(new CreateAccessKeyCommand({}), call),
      );
      const { AccessKeyId: id, SecretAccessKey: secret } = made ?? {};
      if (id !== undefined && secret !== undefined) {
        return { access_key_id: id, secret_access_key: secret };
      }
      throw new AwsFailure("lost", "the answer has no access key");
    },
    deactivateKey: (id: string, context: CallContext) =>
      callAws(context, (call) =>
        iam.send(new UpdateAccessKeyCommand({ AccessKeyId: id, Status: "Inactive" }), call),
      ),
    deleteKey: (id: string, context: CallContext) =>
      callAws(context, (call) => iam.send(new DeleteAccessKeyCommand({ AccessKeyId: id }), call)),
    close: () => {
      iam.destroy();
      sts.destroy();
    },
  };
}
