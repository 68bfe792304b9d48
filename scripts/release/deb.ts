/** The Debian package of a release. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { Kit } from "./kit.ts";

const FILES = new URL("files/", import.meta.url);

/**
 * Builds `mqcat_VERSION_ARCH.deb`. It has no scripts: the service is there, and nothing is started or enabled.
 *
 * @param architecture as Debian names it, such as `amd64`
 * @param out the folder for the package
 * @returns the path of the package
 */
export function debPackage({ folder, version }: Kit, architecture: string, out: string): string {
  const tree = fs.mkdtempSync(path.join(out, "deb-"));
  try {
    const put = (from: string, to: string, mode = 0o644) => {
      const file = path.join(tree, to);
      fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
      fs.copyFileSync(from, file);
      fs.chmodSync(file, mode);
      return file;
    };
    put(`${folder}mqcat`, "usr/bin/mqcat", 0o755);
    put(`${folder}completions/mqcat.bash`, "usr/share/bash-completion/completions/mqcat");
    put(`${folder}completions/_mqcat`, "usr/share/zsh/vendor-completions/_mqcat");
    put(`${folder}completions/mqcat.fish`, "usr/share/fish/vendor_completions.d/mqcat.fish");
    for (const page of fs.readdirSync(`${folder}man`)) {
      const file = put(`${folder}man/${page}`, `usr/share/man/man1/${page}`);
      execFileSync("gzip", ["-9n", file]);
    }
    put(new URL("mqcat.service", FILES).pathname, "usr/lib/systemd/system/mqcat.service");
    const docs = "usr/share/doc/mqcat";
    put(`${folder}LICENSE`, `${docs}/copyright`);
    put(`${folder}THIRD-PARTY-LICENSES`, `${docs}/THIRD-PARTY-LICENSES`);
    execFileSync("gzip", ["-9n", put(`${folder}CHANGELOG.md`, `${docs}/changelog`)]);

    const bytes = Number(execFileSync("du", ["-sk", tree], { encoding: "utf8" }).split("\t")[0]);
    fs.mkdirSync(path.join(tree, "DEBIAN"));
    fs.writeFileSync(path.join(tree, "DEBIAN/control"), control(version, architecture, bytes));
    const file = path.join(out, `mqcat_${version}_${architecture}.deb`);
    execFileSync("dpkg-deb", ["--build", "--root-owner-group", "-Zgzip", tree, file], { stdio: "ignore" });
    return file;
  } finally {
    fs.rmSync(tree, { recursive: true });
  }
}

function control(version: string, architecture: string, kilobytes: number): string {
  return `Package: mqcat
Version: ${version}
Architecture: ${architecture}
Maintainer: the mqcat authors <mqcat@users.noreply.github.com>
Installed-Size: ${kilobytes}
Depends: libc6 (>= 2.17)
Section: net
Priority: optional
Description: netcat for messaging patterns
 The command is the pattern: pub, sub, push, pull, req, rep. The address is the
 system: ZeroMQ, or an AMQP (RabbitMQ), MQTT or STOMP broker. mqcat also sends
 and receives bytes over plain sockets, and can run as a broker itself.
`;
}
