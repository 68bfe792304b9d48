/**
 * Whether a filter of MQTT matches a topic name, by comparing their levels: what a tree of topics must find. A wildcard in
 * the first level does not match a name that begins with `$` [MQTT-4.7.2-1].
 */
export function topicMatches(filter: string, topic: string): boolean {
  const levels = filter.split("/");
  const names = topic.split("/");
  if (topic.startsWith("$") && (levels[0] === "#" || levels[0] === "+")) return false;
  for (let i = 0; i < levels.length; i++) {
    const level = levels[i]!;
    if (level === "#") return true;
    if (i >= names.length || level !== "+" && level !== names[i]) return false;
    // `a/#` also matches `a` (4.7.1.2).
    if (i === names.length - 1 && i === levels.length - 2 && levels[i + 1] === "#") return true;
  }
  return levels.length === names.length;
}
