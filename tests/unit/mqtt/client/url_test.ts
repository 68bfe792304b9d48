/** URLs of MQTT servers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EndpointError } from "../../../../lib/errors.ts";
import { formatMqtt, parseMqttUrl } from "../../../../lib/mqtt/client/url.ts";

describe("MQTT URLs", () => {
  it("url - host, port, credentials and topic, with defaults", () => {
    assert.deepEqual(parseMqttUrl("mqtt://broker"), {
      addresses: [{
        endpoint: { scheme: "tcp", host: "broker", port: 1883 },
        user: undefined,
        password: undefined,
      }],
      topic: undefined,
    });
    assert.deepEqual(parseMqttUrl("MQTTS://v%3Ame:p%40ss%2F@[::1]/a%20b/+/c/#"), {
      addresses: [{ endpoint: { scheme: "tls", host: "::1", port: 8883 }, user: "v:me", password: "p@ss/" }],
      topic: "a b/+/c/#",
    });
    assert.equal(parseMqttUrl("mqtt://host//a/").topic, "/a/");
    assert.equal(parseMqttUrl("mqtt://host/").topic, undefined);
  });

  it("url - several hosts, formatted without credentials", () => {
    const { addresses, topic } = parseMqttUrl("mqtt://me:secret@one,two:1884/t,mqtts://three");
    assert.deepEqual(addresses.map(formatMqtt), ["mqtt://one:1883", "mqtt://two:1884", "mqtts://three:8883"]);
    assert.equal(topic, "t");
    assert.deepEqual(addresses.map(({ password }) => password), ["secret", "secret", undefined]);
  });

  const wrong: [url: string, words: RegExp][] = [
    ["http://host", /scheme 'http' is not mqtt or mqtts/],
    ["mqtt://me:secret@host:99999", /99999 is not a port/],
    ["mqtt://me:sec/ret@host", /percent-encoded/],
    ["mqtt://me:sec#ret@host", /percent-encoded/],
    ["mqtt://me:secret%@host", /% without two hexadecimal digits/],
    ["mqtt://me:secret@host/t?qos=1", /parameters/],
    ["mqtt://one/a,mqtt://two/b", /different topics/],
    ["mqtt://::1", /brackets/],
  ];
  for (const [url, words] of wrong) {
    it(`url - ${url} is refused without the password`, () => {
      assert.throws(() => parseMqttUrl(url), (error: Error) => {
        assert.ok(error instanceof EndpointError);
        assert.match(error.message, words);
        assert.doesNotMatch(error.message, /sec|ret@/);
        return true;
      });
    });
  }
});
