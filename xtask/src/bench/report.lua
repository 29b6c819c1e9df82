-- Behind each of the other scripts: tells what came of it as one line of JSON. Times are in microseconds.
local threads = {}

function setup(thread)
    table.insert(threads, thread)
end

local function sum(name)
    local total = 0
    for _, thread in ipairs(threads) do
        total = total + (thread:get(name) or 0)
    end
    return total
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '\n{"duration":%d,"answers":%d,"refusals":%d,"failures":%d,"created":%d,"paid":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}\n',
        summary.duration, summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
        sum("created"), sum("paid"), latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max
    ))
end
