-- Posts the bodies of a file, a line each, in turn; prints one line of JSON at the end.
local requests, turn = {}, 0

function init(args)
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, body)
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\n{"seconds": %f, "requests": %d, "failed": %d, "p50": %f, "p99": %f}\n',
    summary.duration / 1e6, summary.requests, e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
