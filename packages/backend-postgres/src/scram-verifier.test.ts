import { expect, test } from "vitest";
import { scramVerifier } from "./scram-verifier.ts";

test("gives the keys of RFC 7677's example exchange", async () => {
  // Section 3: user "user", password "pencil", salt and 4096 rounds as below. The server's
  // signature there is HMAC(ServerKey, AuthMessage), which the example prints.
  const verifier = await scramVerifier({
    password: "pencil",
    salt: Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64"),
    iterations: 4096,
  });
  expect(verifier).toBe(
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" +
      "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
  );
});

test("refuses what SASLprep might change", async () => {
  for (const password of ["", "pässword", "a\nb"]) {
    const making = scramVerifier({ password, salt: new Uint8Array(16), iterations: 1 });
    await expect(making).rejects.toThrow("plain ASCII");
  }
});
