import { expect, test } from "vitest";
import { SharedLook } from "./shared-look.ts";

test("who asks while a look is under way gets the next one, together with others", async () => {
  const answers: ((fails: boolean) => void)[] = [];
  const shared = new SharedLook(
    () =>
      new Promise<number>((resolve, reject) => {
        const place = answers.length + 1;
        answers.push((fails) => (fails ? reject(new Error("no answer")) : resolve(place)));
      }),
  );
  const first = shared.run();
  while (answers.length === 0) await Promise.resolve();
  const [second, third] = [shared.run(), shared.run()];
  second.catch(() => undefined);
  expect(answers).toHaveLength(1);
  answers[0]?.(false);
  expect(await first).toBe(1);
  while (answers.length === 1) await Promise.resolve();
  const fourth = shared.run();
  answers[1]?.(true);
  await expect(second).rejects.toThrow("no answer");
  await expect(third).rejects.toThrow("no answer");
  while (answers.length === 2) await Promise.resolve();
  answers[2]?.(false);
  expect(await fourth).toBe(3);
});
