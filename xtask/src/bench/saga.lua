-- Places orders, and pays each as soon as a connection is free.
created, paid = 0, 0

local unpaid, first, last = {}, 1, 0
local head = { ["Authorization"] = "thisisajwttoken", ["Content-Type"] = "application/json" }
local card = '{"creditCardDetails": {"number": "4242424242424242", "cvt": 345, "expiry": "12/2030"}}'
local create

function init()
    head["Host"] = wrk.headers["Host"]
    create = wrk.format("POST", "/api/orders", head, '{"bill": 62243}')
end

function request()
    if first > last then
        return create
    end
    local id = unpaid[first]
    unpaid[first] = nil
    first = first + 1
    return wrk.format("POST", "/api/payments/pay/" .. id, head, card)
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
