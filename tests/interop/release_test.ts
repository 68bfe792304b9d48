/** The files of a release: the archive, the Debian package, the unit, the image's command line, checksums, formula. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import process from "node:process";
import { after, before, describe } from "node:test";
import { compileWithBun } from "../../scripts/compile_bun.ts";
import { pack } from "../../scripts/release/archive.ts";
import { release } from "../../scripts/release/main.ts";
import { bundledPackages } from "../../scripts/release/packages.ts";
import { TARGETS } from "../../scripts/release/targets.ts";
import { installed, requirePeer, tempDir } from "../support/helpers.ts";

const dir = tempDir();
after(dir.remove);

/** The release is the same whatever runs this test, so it is tested once, and for one platform. */
const isPresent = process.platform === "linux" && process.arch === "x64" &&
  installed("dpkg-deb") && installed("tar") && installed("gzip");
const target = TARGETS.find(({ name }) => name === "linux-x64")!;
const out = dir.file("release/");

function run(command: string, args: readonly string[], options: { cwd?: string } = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: 60_000,
    ...options,
  });
  assert.equal(status, 0, `${command} ${args.join(" ")}: ${error ?? ""}${stderr}`);
  return stdout;
}

/** Puts and gets three messages with a broker of the program's own. */
function useBroker(mqcat: string): void {
  const script = `seq 3 | ${mqcat} queue put q --declare; ${mqcat} queue get q --drain`;
  assert.equal(run(mqcat, ["queue", "run", "--", "sh", "-c", script]), "1\n2\n3\n");
}

describe("a release", () => {
  const test = requirePeer("dpkg-deb, tar and gzip on linux-x64", isPresent, 120_000);
  let version = "";
  /** The unpacked archive. */
  let folder = "";

  before(async () => {
    if (!isPresent) return;
    await release(out, [target], process.env.MQCAT_BINARY ?? compileWithBun(dir.file("mqcat")));
    version = JSON.parse(fs.readFileSync(new URL("../../deno.json", import.meta.url), "utf8")).version;
    run("tar", ["-xzf", `mqcat-${version}-linux-x64.tar.gz`], { cwd: out });
    folder = `${out}mqcat-${version}-linux-x64/`;
  });

  test("archive - has the program, completions, man pages and licences, and runs", () => {
    for (
      const name of [
        "completions/mqcat.bash",
        "completions/_mqcat",
        "completions/mqcat.fish",
        "completions/mqcat.ps1",
        "man/mqcat-push.1",
        "man/mqcat-queue-serve.1",
        "LICENSE",
        "README.md",
      ]
    ) assert.ok(fs.statSync(folder + name).size > 500, name);
    const licences = fs.readFileSync(`${folder}THIRD-PARTY-LICENSES`, "utf8");
    for (const { name, version } of bundledPackages()) {
      assert.match(licences, new RegExp(`${name} ${version} `));
    }
    assert.equal(run(`${folder}mqcat`, ["--version"]), `mqcat ${version}\n`);
    useBroker(`${folder}mqcat`);
  });

  test("checksums - fit each file", () => {
    run("sha256sum", ["--check", "--quiet", "SHA256SUMS"], { cwd: out });
    assert.equal(fs.readFileSync(`${out}SHA256SUMS`, "utf8").trim().split("\n").length, 4);
  });

  test("Debian package - is installed, runs, and is removed without a trace", () => {
    const root = dir.file("root");
    fs.mkdirSync(`${root}/var/lib/dpkg/updates`, { recursive: true });
    fs.mkdirSync(`${root}/var/lib/dpkg/info`);
    fs.writeFileSync(`${root}/var/lib/dpkg/status`, "");
    // The empty root has no libc6, which the package depends on.
    const dpkg = ["--root", root, "--force-not-root", "--force-depends", "--log=/dev/null"];
    run("dpkg", [...dpkg, "--install", `${out}mqcat_${version}_amd64.deb`]);
    assert.equal(run(`${root}/usr/bin/mqcat`, ["--version"]), `mqcat ${version}\n`);
    useBroker(`${root}/usr/bin/mqcat`);
    assert.ok(fs.existsSync(`${root}/usr/share/man/man1/mqcat-push.1.gz`));
    assert.ok(fs.existsSync(`${root}/usr/share/bash-completion/completions/mqcat`));
    if (installed("systemd-analyze")) {
      const { stderr } = spawnSync("systemd-analyze", [
        "verify",
        "--man=no",
        `${root}/usr/lib/systemd/system/mqcat.service`,
      ], {
        encoding: "utf8",
      });
      // The program is only in the other root.
      assert.doesNotMatch(stderr.replace(/.*usr\/bin\/mqcat is not executable.*\n/, ""), /mqcat\.service/);
    }
    run("dpkg", [...dpkg, "--purge", "mqcat"]);
    assert.ok(!fs.existsSync(`${root}/usr/bin/mqcat`));
    assert.ok(!fs.existsSync(`${root}/usr/share/doc/mqcat`));
  });

  test("image - copies files of the archive, and its command line starts a broker", () => {
    const lines = fs.readFileSync(`${folder}Containerfile`, "utf8").split("\n");
    const words = (instruction: string) =>
      lines.find((line) => line.startsWith(`${instruction} `))!.slice(instruction.length + 1);
    for (const line of lines.filter((line) => line.startsWith("COPY "))) {
      for (const name of line.split(" ").slice(1, -1)) assert.ok(fs.existsSync(folder + name), name);
    }
    fs.writeFileSync(dir.file("users"), "ann:secret\n", { mode: 0o600 });
    const places: Record<string, string> = {
      "/usr/bin/mqcat": `${folder}mqcat`,
      "/data": dir.file("data"),
      "/users": dir.file("users"),
    };
    const command: string[] = [...JSON.parse(words("ENTRYPOINT")), ...JSON.parse(words("CMD"))]
      .map((word) => places[word] ?? word.replace(/:\d+$/, ":0"));
    const ready = dir.file("ready");
    const script =
      `"$@" --ready-file ${ready} & for i in $(seq 100); do test -s ${ready} && break; sleep 0.05; done
cat ${ready}; kill $!; wait`;
    assert.match(
      run("bash", ["-c", script, "bash", ...command]),
      /^amqp:\/\/\S+:\d+\nmqtt:\/\/\S+:\d+\nstomp:\/\/\S+:\d+\n$/,
    );
  });

  test("bill of materials - names the packages and the runtime", () => {
    const document = JSON.parse(fs.readFileSync(`${out}mqcat-${version}.cdx.json`, "utf8"));
    assert.equal(`${document.bomFormat} ${document.specVersion}`, "CycloneDX 1.6");
    const names = document.components.map(({ name }: { name: string }) => name);
    assert.deepEqual(names, ["bun", ...bundledPackages().map(({ name }) => name)]);
    for (const { purl } of document.components) {
      assert.match(purl, /^pkg:npm\/(%40[^/]+\/)?[^@/]+@\d+\.\d+\.\d+$/);
    }
  });

  test("formula - names the archive and its checksum", () => {
    const text = fs.readFileSync(`${out}mqcat.rb`, "utf8");
    const sums = fs.readFileSync(`${out}SHA256SUMS`, "utf8");
    const [, sum, name] = /^(\w+) {2}(.*linux-x64\.tar\.gz)$/m.exec(sums)!;
    assert.ok(text.includes(`url "https://github.com/mqcat/mqcat/releases/download/v${version}/${name}"`));
    assert.ok(text.includes(`sha256 "${sum}"`));
    if (installed("ruby")) run("ruby", ["-c", `${out}mqcat.rb`]);
  });

  test("archives - are the same bytes for the same files", () => {
    for (const name of ["a.tar.gz", ...(installed("zip") ? ["a.zip"] : [])]) {
      const archives = ["one", "two"].map((attempt) => {
        const from = dir.file(`${attempt}/kit`);
        fs.rmSync(from, { recursive: true, force: true });
        for (const folder of ["b", "a", "c"]) {
          fs.mkdirSync(`${from}/${folder}`, { recursive: true });
          fs.writeFileSync(`${from}/${folder}/file`, folder);
          fs.utimesSync(`${from}/${folder}/file`, 1, Math.random() * 1e9);
        }
        const archive = dir.file(`${attempt}/${name}`);
        pack(from, archive);
        return fs.readFileSync(archive);
      });
      assert.ok(archives[0]!.equals(archives[1]!), name);
    }
  });
});
