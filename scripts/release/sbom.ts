/** The bill of materials of a release, in CycloneDX 1.6 (ECMA-424). */
import { createHash } from "node:crypto";
import type { Package } from "./packages.ts";

/** What a release contains besides the packages of npm. */
export interface Contents {
  readonly version: string;
  readonly license: string;
  /** The runtime in the binaries, such as `1.4.5` of Bun. */
  readonly bunVersion: string;
  readonly packages: readonly Package[];
}

/**
 * The document as text. It has no time and no random number, so the same sources give the same bytes.
 *
 * @see https://cyclonedx.org/docs/1.6/json/
 */
export function billOfMaterials({ version, license, bunVersion, packages }: Contents): string {
  const program = `pkg:npm/mqcat@${version}`;
  const components = [
    component("bun", bunVersion, "MIT", "platform"),
    ...packages.map(({ name, version, license }) => component(name, version, license, "library")),
  ];
  const document = {
    $schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(components) + version)}`,
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": program,
        name: "mqcat",
        version,
        licenses: [{ license: { id: license } }],
        purl: program,
      },
    },
    components,
    dependencies: [
      { ref: program, dependsOn: components.map((component) => component["bom-ref"]) },
      ...components.map((component) => ({ ref: component["bom-ref"], dependsOn: [] })),
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function component(name: string, version: string, license: string, type: "library" | "platform") {
  // In a package URL the @ of a scope is percent-encoded.
  const purl = `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
  // A choice such as "MIT OR Apache-2.0" is an expression.
  const licenses = / /.test(license) ? [{ expression: license }] : [{ license: { id: license } }];
  return { type, "bom-ref": purl, name, version, licenses, purl };
}

/** A UUID that depends on the text only (RFC 9562, version 8). */
function uuidOf(text: string): string {
  const bytes = createHash("sha256").update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
