-- Look-ups by numbers that vary, for wrk. Arguments: numbers.txt, method path, body with %s for the number, headers as "Name: value".
-- Prints one line of figures as JSON.
local requests = {}
local at = 0

function init(args)
  local method, path, body = args[2], args[3], args[4]
  local headers = {}
  for place = 5, #args do
    local name, value = args[place]:match("^([^:]+): (.*)$")
    headers[name] = value
  end
  for number in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format(method, path, headers, (body:gsub("%%s", function() return number end)))
  end
  math.randomseed(tonumber(tostring(requests):match("0x(%x+)"), 16) % 2147483647)
  at = math.random(#requests)
end

function request()
  at = at % #requests + 1
  return requests[at]
end

if os.getenv("LOOKUP_PAUSE_MS") then
  local mean = tonumber(os.getenv("LOOKUP_PAUSE_MS"))
  -- A pause before each request of a connection, even between 0 and twice the mean.
  function delay()
    return math.floor(2 * mean * math.random() + 0.5)
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "max": %d, "errors": %d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
