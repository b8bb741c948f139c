-- What wrk sends and what it prints. Arguments after the URL: MODE PREFIX COUNT START
--   fixed    the same request always; wrk builds it once from its -H options
--   unique   a token that was never sent before in each request: PREFIX and a counter, 40 bytes
--   file     the COUNT tokens of the file PREFIX in turn, beginning after the one numbered START
--   many     COUNT tokens in turn, 40 bytes each, beginning after the one numbered START
--   proofs   the file PREFIX has a token, then COUNT proofs for it (DPoP), which are sent in turn
--   body     the same request always, with the file PREFIX as its JSON body
-- Ends with one line of JSON.

local function request_with(serial)
   local token = prefix .. string.format("%0" .. (40 - #prefix) .. "d", serial)
   return head .. token .. "\r\n\r\n"
end

function init(args)
   prefix = args[2] or ""
   local mode, count, serial = args[1], tonumber(args[3] or 0), tonumber(args[4] or 0)
   head = "GET " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. "\r\nAuthorization: Bearer "
   if mode == "unique" then
      request = function()
         serial = serial + 1
         return request_with(serial)
      end
   elseif mode == "file" then
      local requests = {}
      for token in io.lines(prefix) do
         requests[#requests + 1] = head .. token .. "\r\n\r\n"
      end
      request = function()
         serial = serial % count + 1
         return requests[serial]
      end
   elseif mode == "proofs" then
      local requests, start = {}, nil
      for line in io.lines(prefix) do
         if start then
            requests[#requests + 1] = start .. line .. "\r\n\r\n"
         else
            start = head:gsub("Bearer $", "DPoP ") .. line .. "\r\nDPoP: "
         end
      end
      request = function()
         serial = serial % count + 1
         return requests[serial]
      end
   elseif mode == "many" then
      request = function()
         serial = serial % count + 1
         return request_with(serial)
      end
   else
      if mode == "body" then
         wrk.headers["Content-Type"] = "application/json"
         wrk.body = io.open(prefix):read("a")
      end
      local same = wrk.format()
      request = function()
         return same
      end
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   print(string.format(
      'RESULT {"requests": %d, "us": %d, "bad_status": %d, "bad_socket": %d, "p50_us": %d, "p99_us": %d}',
      summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
      latency:percentile(50), latency:percentile(99)))
end
