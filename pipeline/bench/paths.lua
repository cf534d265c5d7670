-- For wrk: asks for the addresses of a file in turn, and prints what was reached as one line of JSON.
local paths, at = {}, 0

function init(arguments)
   for line in io.lines(arguments[1]) do
      paths[#paths + 1] = line
   end
end

function request()
   at = at % #paths + 1
   return wrk.format("GET", paths[at])
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format('{"requests": %d, "seconds": %.6f, "p99": %.6f, "failed": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(99) / 1e6,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
