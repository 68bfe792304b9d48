# Runs the steps of amqp_round.mjs with Bunny; prints one line of JSON for each step. Usage: ruby bunny_peer.rb URL
require "bunny"
require "json"
require "logger"
require "timeout"
require "uri"

STEP_S = 20
SIZES = [0, 1, 8184, 131_063, 131_064, 131_065, 300_000].freeze
URL = ARGV.fetch(0)
MADE = []

def unique(what) = "round.#{Process.pid}.#{what}"

def connect(url = URL)
  # By default Bunny recovers from every error and logs it.
  options = { automatically_recover: false, recover_from_connection_close: false }
  Bunny.new(url, logger: Logger.new(File::NULL), **options).start
end

def step(name)
  saw = begin
    Timeout.timeout(STEP_S) { yield }
  rescue StandardError => error
    { error: error.full_message(highlight: false) }
  end
  puts JSON.generate([name, saw])
  $stdout.flush
end

# Returns the reply code of the broker, or the name of Bunny's error if there is no code.
def refused
  yield
  "taken"
rescue Bunny::ChannelLevelException => error
  error.channel_close.reply_code
rescue Bunny::ConnectionLevelException => error
  error.connection_close.reply_code
rescue Bunny::Exception => error
  error.class.name
end

def till
  sleep 0.002 until (value = yield)
  value
end

def elsewhere(password: nil, path: nil)
  uri = URI.parse(URL)
  uri.password = password if password
  uri.path = path if path
  uri.to_s
end

CONNECTION = connect

# Runs the block with a new channel.
def on_channel(confirm: false)
  channel = CONNECTION.create_channel
  channel.confirm_select if confirm
  result = yield channel
  channel.close
  result
end

def declare(channel, what, arguments = {})
  channel.queue_declare(unique(what), durable: true, arguments: arguments).queue.tap { |name| MADE << name }
end

def count(channel, name) = channel.queue_declare(name, passive: true).message_count

# Publishes, and waits for the confirm if the channel is in confirm mode.
def publish(channel, exchange, key, body, options = {})
  channel.basic_publish(body, exchange, key, { persistent: false }.merge(options))
  return true unless channel.using_publisher_confirmations?

  channel.wait_for_confirms
end

def drain(channel, name)
  bodies = []
  loop do
    info, _, body = channel.basic_get(name, manual_ack: true)
    return bodies if info.nil?

    bodies << body
    channel.ack(info.delivery_tag)
  end
end

def body_of(size) = Array.new(size) { |i| i * 31 & 255 }.pack("C*")

PROPERTIES = {
  content_type: "application/x",
  content_encoding: "identity",
  delivery_mode: 2,
  priority: 3,
  correlation_id: "c",
  reply_to: "r",
  expiration: "60000",
  message_id: "m",
  timestamp: 1_700_000_000,
  type: "t",
  user_id: "guest",
  app_id: "a",
  headers: {
    "text" => "ü\u{1f600}".b, # Bunny returns text as bytes.
    "empty" => "",
    "int" => -70_000,
    "long" => 2**40,
    "double" => 1.5,
    "yes" => true,
    "nothing" => nil,
    "time" => Time.at(1_700_000_000),
    "list" => [1, "two", { "three" => 3 }],
    "table" => { "inner" => { "most" => false } }
  }
}.freeze

step("wrong password") { refused { connect(elsewhere(password: "wrong")) } }
step("missing virtual host") { refused { connect(elsewhere(path: "/none")) } }
step("capabilities") { CONNECTION.server_capabilities.select { |_, can| can }.keys.sort }
step("blocked") do
  CONNECTION.on_blocked { |method| warn method.reason }
  CONNECTION.on_unblocked { |method| warn method }
  !CONNECTION.blocked?
end
step("declare") do
  on_channel do |channel|
    name = declare(channel, "declared")
    again = channel.queue_declare(name, durable: true)
    [again.queue == name, again.message_count, again.consumer_count]
  end
end
step("server-named") do
  on_channel { |channel| channel.queue_declare("", exclusive: true).queue.match?(/\Aamq\.gen-.{20}/) }
end
step("passive, missing") do
  refused { CONNECTION.create_channel.queue_declare(unique("missing"), passive: true) }
end
step("declared otherwise") do
  name = on_channel { |channel| declare(channel, "otherwise") }
  [
    refused { CONNECTION.create_channel.queue_declare(name, durable: false) },
    refused { CONNECTION.create_channel.queue_declare(name, durable: true, arguments: { "x-max-length" => 5 }) }
  ]
end
step("reserved name") { refused { CONNECTION.create_channel.queue_declare("amq.mine", durable: true) } }
step("exclusive") do
  other = connect
  name = other.create_channel.queue_declare(unique("exclusive"), exclusive: true).queue
  look = -> { refused { CONNECTION.create_channel.queue_declare(name, passive: true) } }
  codes = [look.call]
  other.close
  till { look.call == 404 }
  codes << 404
end
step("direct") do
  on_channel(confirm: true) do |channel|
    from = unique("direct")
    to = declare(channel, "of direct")
    exchange = channel.direct(from, durable: true)
    channel.queue_bind(to, from, routing_key: "a")
    %w[a b a.b].each { |key| publish(channel, from, key, key) }
    bodies = drain(channel, to)
    channel.queue_unbind(to, from, routing_key: "a")
    publish(channel, from, "a", "unbound")
    bodies += drain(channel, to)
    exchange.delete
    bodies
  end
end
step("fanout") do
  on_channel(confirm: true) do |channel|
    from = unique("fanout")
    channel.fanout(from, auto_delete: true)
    queues = [declare(channel, "left"), declare(channel, "right")]
    queues.each { |to| channel.queue_bind(to, from) }
    publish(channel, from, "any", "both")
    queues.flat_map { |to| drain(channel, to) }
  end
end
step("topic") do
  on_channel(confirm: true) do |channel|
    to = declare(channel, "of topic")
    head = unique("t")
    ["#{head}.*.error", "#{head}.#.end"].each { |key| channel.queue_bind(to, "amq.topic", routing_key: key) }
    %w[web.error error web.db.error x.y.end end error.end].each do |key|
      publish(channel, "amq.topic", "#{head}.#{key}", key)
    end
    drain(channel, to)
  end
end
step("headers") do
  on_channel(confirm: true) do |channel|
    from = unique("headers")
    exchange = channel.headers(from, durable: true)
    queues = %w[all any].map do |match|
      declare(channel, match).tap do |to|
        channel.queue_bind(to, from, arguments: { "x-match" => match, "color" => "red", "size" => 7 })
      end
    end
    [{ color: "red", size: 7, more: true }, { color: "red" }, { size: 8 }, {}].each do |headers|
      publish(channel, from, "", JSON.generate(headers), headers: headers.transform_keys(&:to_s))
    end
    bodies = queues.map { |to| drain(channel, to) }
    exchange.delete
    bodies
  end
end
step("exchange to exchange") do
  on_channel(confirm: true) do |channel|
    outer = channel.topic(unique("outer"), durable: true)
    inner = channel.fanout(unique("inner"), durable: true)
    to = declare(channel, "of inner")
    channel.queue_bind(to, inner.name)
    inner.bind(outer, routing_key: "in.#")
    %w[in.side out.side].each { |key| publish(channel, outer.name, key, key) }
    inner.unbind(outer, routing_key: "in.#")
    publish(channel, outer.name, "in.vain", "unbound")
    [outer, inner].each(&:delete)
    drain(channel, to)
  end
end
step("unknown exchange type") do
  other = connect
  refused { other.create_channel.exchange_declare(unique("unknown"), "unknown") }
end
step("confirms") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "confirmed")
    1000.times { |i| channel.basic_publish("message #{i}", "", name, persistent: true) }
    raise "a message was refused" unless channel.wait_for_confirms

    count(channel, name)
  end
end
step("consume") do
  on_channel do |channel|
    name = unique("confirmed")
    in_order = 0
    channel.prefetch(50)
    channel.basic_consume(name) do |info, _, body|
      in_order += 1 if body == "message #{in_order}" && !info.redelivered?
      channel.ack(info.delivery_tag, true) if (in_order % 50).zero?
    end
    till { in_order == 1000 }
    [in_order, count(channel, name)]
  end
end
step("bodies") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "bodies")
    SIZES.each { |size| publish(channel, "", name, body_of(size)) }
    SIZES.reject do |size|
      info, _, body = channel.basic_get(name, manual_ack: true)
      channel.ack(info.delivery_tag)
      body.b == body_of(size)
    end
  end
end
step("properties") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "properties")
    publish(channel, "", name, "p", PROPERTIES)
    info, got, = channel.basic_get(name, manual_ack: true)
    channel.ack(info.delivery_tag)
    PROPERTIES.reject { |key, value| got[key] == value || key == :timestamp && got[key].to_i == value }.map { |key, _| [key, got[key].inspect] }
  end
end
step("mandatory") do
  on_channel(confirm: true) do |channel|
    key = unique("nobody")
    returned = nil
    channel.default_exchange.on_return { |info, properties, body| returned = [info, properties, body] }
    publish(channel, "", key, "come back", mandatory: true, message_id: "m")
    info, properties, body = till { returned }
    [info.reply_code, info.reply_text, info.routing_key == key, properties.message_id, body]
  end
end
step("full queue") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "full", { "x-max-length" => 1, "x-overflow" => "reject-publish" })
    Array.new(2) { publish(channel, "", name, "x") ? "taken" : "refused" }
  end
end
step("missing exchange") do
  channel = CONNECTION.create_channel
  channel.basic_publish("x", unique("no exchange"), "")
  refused { channel.queue_declare("", exclusive: true) }
end
step("prefetch") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "prefetch")
    20.times { |i| publish(channel, "", name, i.to_s) }
    came = []
    channel.prefetch(5)
    channel.basic_consume(name) do |info, _, body|
      came << [info.delivery_tag, body]
      channel.ack(info.delivery_tag) if came.size > 5
    end
    till { came.size == 5 }
    ready = count(channel, name)
    channel.ack(came[4][0], true)
    till { came.size == 20 }
    [ready, came.map(&:last).join(" ")]
  end
end
step("requeue") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "requeue")
    publish(channel, "", name, "x")
    Array.new(3) do |i|
      info, = channel.basic_get(name, manual_ack: true)
      i < 2 ? channel.nack(info.delivery_tag, false, true) : channel.ack(info.delivery_tag)
      info.redelivered
    end
  end
end
step("dead letters") do
  on_channel(confirm: true) do |channel|
    dead = declare(channel, "dead")
    limits = { "x-dead-letter-exchange" => "", "x-dead-letter-routing-key" => dead }
    name = declare(channel, "alive", limits)
    [{}, { expiration: "1" }].map do |options|
      publish(channel, "", name, "x", options)
      channel.nack(channel.basic_get(name, manual_ack: true)[0].delivery_tag, false, false) if options.empty?
      info, properties, = till do
        got = channel.basic_get(dead, manual_ack: true)
        got if got[0]
      end
      channel.ack(info.delivery_tag)
      death = properties[:headers]["x-death"].first
      [death["reason"], death["count"], death["queue"] == name]
    end
  end
end
step("get") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "get")
    %w[one two].each { |body| publish(channel, "", name, body) }
    saw = Array.new(2) do
      info, _, body = channel.basic_get(name, manual_ack: true)
      channel.ack(info.delivery_tag)
      [body, info.message_count]
    end
    [*saw.flatten, channel.basic_get(name, manual_ack: true)[0]]
  end
end
step("cancel") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "cancel")
    tag = channel.basic_consume(name) { |*| nil }.consumer_tag
    consumers = channel.queue_declare(name, passive: true).consumer_count
    channel.basic_cancel(tag)
    publish(channel, "", name, "x")
    after = channel.queue_declare(name, passive: true)
    [consumers, after.consumer_count, after.message_count]
  end
end
step("cancelled by the broker") do
  on_channel do |channel|
    name = declare(channel, "doomed")
    consumer = Bunny::Consumer.new(channel, name)
    cancelled = false
    consumer.on_cancellation { |_| cancelled = true }
    channel.basic_consume_with(consumer)
    on_channel { |other| other.queue_delete(name) }
    till { cancelled }
  end
end
step("unknown delivery tag") do
  channel = CONNECTION.create_channel
  code = nil
  channel.on_error { |_, close| code = close.reply_code }
  channel.basic_ack(99)
  till { code }
end
step("transaction") do
  on_channel do |channel|
    name = declare(channel, "transaction")
    seen = -> { on_channel { |other| count(other, name) } }
    channel.tx_select
    %w[a b].each { |body| publish(channel, "", name, body) }
    counts = [seen.call]
    channel.tx_commit
    counts << seen.call
    publish(channel, "", name, "c")
    channel.tx_rollback
    counts << seen.call
  end
end
step("direct reply-to") do
  on_channel do |server|
    name = declare(server, "service")
    server.basic_consume(name) do |info, properties, body|
      publish(server, "", properties.reply_to, "#{body}!", correlation_id: properties.correlation_id)
      server.ack(info.delivery_tag)
    end
    on_channel do |asking|
      answer = nil
      replies = "amq.rabbitmq.reply-to"
      asking.basic_consume(replies, asking.generate_consumer_tag, true) do |_, properties, body|
        answer = [body, properties.correlation_id]
      end
      publish(asking, "", name, "ping", reply_to: replies, correlation_id: "c-1")
      till { answer }
    end
  end
end
step("purge, delete") do
  on_channel(confirm: true) do |channel|
    name = declare(channel, "purged")
    3.times { publish(channel, "", name, "x") }
    counts = [channel.queue_purge(name).message_count]
    publish(channel, "", name, "x")
    counts << channel.queue_delete(name).message_count << channel.queue_delete(name).message_count
  end
end
step("close") do
  on_channel { |channel| MADE.each { |name| channel.queue_delete(name) } }
  CONNECTION.close
  CONNECTION.closed?
end
