-- Reads what a file names, a path and a token on each line, from its beginning and again.
local requests, next_one = {}, 0

function init(arguments)
    for line in io.lines(arguments[1]) do
        local path, token = string.match(line, "(%S+) (%S+)")
        local head = { ["Host"] = wrk.headers["Host"], ["Authorization"] = token }
        table.insert(requests, wrk.format("GET", path, head))
    end
end

function request()
    next_one = next_one % #requests + 1
    return requests[next_one]
end
