-- Places orders, and pays each as soon as a connection is free.
created, paid = 0, 0

local unpaid, first, last = {}, 1, 0
local head = { ["Authorization"] = "thisisajwttoken", ["Content-Type"] = "application/json" }
local card = '{"creditCardDetails": {"number": "4242424242424242", "cvt": 345, "expiry": "12/2030"}}'
-- Where the id of a pay goes.
local HERE = "here"
local create, before_id, behind_id

function init()
    head["Host"] = wrk.headers["Host"]
    create = wrk.format("POST", "/api/orders", head, '{"bill": 62243}')
    -- Written once, since to write it anew costs several times as much.
    before_id, behind_id = string.match(wrk.format("POST", "/api/payments/pay/" .. HERE, head, card), "^(.-)" .. HERE .. "(.*)$")
end

function request()
    if first > last then
        return create
    end
    local id = unpaid[first]
    unpaid[first] = nil
    first = first + 1
    return before_id .. id .. behind_id
end

function response(status, headers, body)
    if status == 201 then
        created = created + 1
        last = last + 1
        unpaid[last] = string.match(body, '"id":"([^"]+)"')
    elseif status == 200 then
        paid = paid + 1
    end
end
