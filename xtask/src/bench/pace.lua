-- Behind a script whose rate is fixed, `per_second`: requests are due at random moments, independent of each other and of
-- when they are answered. Times are in milliseconds, which is how exactly wrk waits.
local ffi = require("ffi")
ffi.cdef("typedef struct { long seconds, nanoseconds; } moment; int clock_gettime(int clock, moment *moment);")
local MONOTONIC = 1
local moment = ffi.new("moment")
local due

local function now()
    ffi.C.clock_gettime(MONOTONIC, moment)
    return tonumber(moment.seconds) * 1000 + tonumber(moment.nanoseconds) / 1000000
end

function delay()
    local at = now()
    due = (due or at) - math.log(1 - math.random()) * 1000 / per_second
    return math.max(0, due - at)
end
