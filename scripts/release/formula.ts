/** The Homebrew formula of a release. */
import type { Target } from "./targets.ts";

/** An archive that the formula can install. */
export interface Bottle {
  readonly target: Target;
  /** The name of the archive. */
  readonly file: string;
  /** SHA-256 in hexadecimal digits. */
  readonly sha256: string;
}

/** @param downloads the folder of the archives, such as `https://host/releases/download/v1.0.0` */
export function formula(version: string, downloads: string, bottles: readonly Bottle[]): string {
  const systems = ["on_macos", "on_linux"].map((system) => {
    const blocks = bottles
      .filter(({ target }) => target.brew?.[0] === system)
      .map(({ target, file, sha256 }) =>
        `    ${target.brew![1]} do\n      url "${downloads}/${file}"\n      sha256 "${sha256}"\n    end`
      );
    return blocks.length === 0 ? "" : `  ${system} do\n${blocks.join("\n")}\n  end\n\n`;
  }).join("");
  return `class Mqcat < Formula
  desc "Netcat for messaging patterns: ZeroMQ, RabbitMQ, MQTT, STOMP and sockets"
  homepage "${new URL(downloads).origin}${new URL(downloads).pathname.replace(/\/releases\/.*/, "")}"
  version "${version}"
  license "MIT"

${systems}  def install
    bin.install "mqcat"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/mqcat.bash" => "mqcat"
    zsh_completion.install "completions/_mqcat"
    fish_completion.install "completions/mqcat.fish"
  end

  service do
    run [opt_bin/"mqcat", "queue", "serve", "--data", var/"mqcat"]
    keep_alive true
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/mqcat --version")
    assert_equal "1\\n2\\n", shell_output(
      "#{bin}/mqcat queue run -- sh -c 'seq 2 | #{bin}/mqcat queue put q --declare; #{bin}/mqcat queue get q --drain'",
    )
  end
end
`;
}
