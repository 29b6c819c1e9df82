-- Places orders. The request is always the same, so wrk makes it once.
wrk.method = "POST"
wrk.path = "/api/orders"
wrk.headers["Authorization"] = "thisisajwttoken"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"bill": 62243}'
