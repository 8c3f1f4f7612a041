import { expect, test } from "vitest";
import { accountSettings, addressOf, arnOfRole, type AccountSettings } from "./account-settings.ts";
import { sessionsMax } from "./deny-document.ts";

const settings = (more: object = {}): AccountSettings =>
  accountSettings.parse({ account_id: "123456789012", region: "eu-central-1", ...more });

test.each([
  ["eu-central-1", "sts.eu-central-1.amazonaws.com", "iam.amazonaws.com", "us-east-1", "aws"],
  [
    "cn-northwest-1",
    "sts.cn-northwest-1.amazonaws.com.cn",
    "iam.cn-north-1.amazonaws.com.cn",
    "cn-north-1",
    "aws-cn",
  ],
  [
    "us-gov-east-1",
    "sts.us-gov-east-1.amazonaws.com",
    "iam.us-gov.amazonaws.com",
    "us-gov-west-1",
    "aws-us-gov",
  ],
])("of %s it is %s and %s, signed for %s", (region, sts, iam, signedFor, partition) => {
  const own = settings({ region });
  expect(addressOf(own, "sts")).toMatchObject({ origin: `https://${sts}`, region });
  expect(addressOf(own, "iam")).toMatchObject({ origin: `https://${iam}`, region: signedFor });
  expect(arnOfRole(own, "agents/x")).toBe(`arn:${partition}:iam::123456789012:role/agents/x`);
  expect(addressOf(own, "iam").tls).toMatchObject({ rejectUnauthorized: true });
});

test("an endpoint of one's own takes the place of that service's alone", () => {
  const own = settings({ endpoints: { sts: "https://sts.internal:8443" } });
  expect(addressOf(own, "sts").origin).toBe("https://sts.internal:8443");
  expect(addressOf(own, "iam").origin).toBe("https://iam.amazonaws.com");
});

test("so many sessions of a role are out at most as the page tells", () => {
  expect(sessionsMax(settings())).toBe(140);
  expect(sessionsMax(settings({ deny_characters: 10_240 }))).toBe(187);
});
