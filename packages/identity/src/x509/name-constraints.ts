import type { GeneralName, NameConstraints } from "@peculiar/asn1-x509";
import { Refusal } from "../refusal.ts";
import type { Certificate } from "./certificate.ts";

/** PKCS #9 emailAddress, an rfc822Name by another way (RFC 5280 section 4.2.1.10). */
const EMAIL_ADDRESS = "1.2.840.113549.1.9.1";
const FORMS = [
  "otherName",
  "rfc822Name",
  "dNSName",
  "x400Address",
  "directoryName",
  "ediPartyName",
  "uniformResourceIdentifier",
  "iPAddress",
  "registeredID",
] as const satisfies readonly (keyof GeneralName)[];
type Form = (typeof FORMS)[number];

/**
 * RFC 5280 section 4.2.1.10: names of a certificate lie within what an authority above it may name.
 * Hosts of URIs and DNS names are compared; a name of any other constrained form is refused, as the
 * section allows to whoever does not process that form.
 */
export function checkNames(certificate: Certificate, constraints: NameConstraints): void {
  const permitted = basesIn(constraints.permittedSubtrees);
  const excluded = basesIn(constraints.excludedSubtrees);
  for (const { form, text } of namesOf(certificate)) {
    const allowed = permitted.filter((base) => base.form === form);
    const barred = excluded.filter((base) => base.form === form);
    if (allowed.length === 0 && barred.length === 0) continue;
    const within = matcherOf(form, text);
    if (within === null) throw refused();
    if (barred.some((base) => base.text === null || within(base.text))) throw refused();
    if (allowed.length > 0 && !allowed.some((base) => base.text !== null && within(base.text))) {
      throw refused();
    }
  }
}

const refused = (): Refusal =>
  new Refusal("path", "a name lies outside of what an authority above it may name");

interface Name {
  readonly form: Form;
  /** Of a URI or a DNS name; null of any other form. */
  readonly text: string | null;
}

const basesIn = (subtrees: NameConstraints["permittedSubtrees"]): readonly Name[] =>
  [...(subtrees ?? [])].flatMap(({ base, minimum, maximum }) =>
    // RFC 5280 section 4.2.1.10 allows no bounds: with them a base permits nothing, and bars all.
    nameOf(base).map((name) =>
      minimum === 0 && maximum === undefined ? name : { ...name, text: null },
    ),
  );

function namesOf({ alternativeNames, hasSubject, subject }: Certificate): readonly Name[] {
  const hasAddress = subject.some((part) => part.some(({ type }) => type === EMAIL_ADDRESS));
  return [
    ...(alternativeNames?.names ?? []).flatMap(nameOf),
    ...(hasSubject ? [{ form: "directoryName", text: null } as const] : []),
    ...(hasAddress ? [{ form: "rfc822Name", text: null } as const] : []),
  ];
}

function nameOf(name: GeneralName): readonly Name[] {
  return FORMS.filter((form) => name[form] !== undefined).map((form) => ({
    form,
    text: form === "uniformResourceIdentifier" || form === "dNSName" ? (name[form] ?? null) : null,
  }));
}

/** Whether a base covers the name; null where names of this form are not compared here. */
function matcherOf(form: Form, text: string | null): ((base: string) => boolean) | null {
  if (text === null) return null;
  switch (form) {
    case "dNSName": {
      const name = hostOf(text);
      return (base) => {
        const within = hostOf(base);
        // Many write the dot of a URI's base here too: then it covers what is below it.
        if (within === "" || within.startsWith(".")) return name.endsWith(within);
        return name === within || name.endsWith(`.${within}`);
      };
    }
    case "uniformResourceIdentifier": {
      const named = /^[a-z][a-z0-9+.-]*:\/\/([a-z0-9._-]+)(?:\/|$)/.exec(text)?.[1];
      if (named === undefined) return null;
      const host = hostOf(named);
      return (base) => {
        const within = hostOf(base);
        if (within === "" || within.startsWith(".")) return host.endsWith(within);
        return host === within;
      };
    }
    default:
      return null;
  }
}

/** As names of hosts are compared: one dot at the end says nothing (RFC 1034 section 3.1). */
const hostOf = (text: string): string => text.toLowerCase().replace(/\.$/, "");
