-- wrk's script: posts a chat request, sees to it that every answer is a whole 200.
-- Where there are tokens, one request after the other bears the next of them.
local threads = {}
local tokens = { @{tokens} }
local mark = [==[@{mark}]==]
local asked, requests = 0, {}

function setup(thread)
  table.insert(threads, thread)
end

function init()
  broken = 0
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = [==[@{body}]==]
  for _, token in ipairs(tokens) do
    wrk.headers["Authorization"] = "Bearer " .. token
    table.insert(requests, wrk.format())
  end
  if #requests == 0 then
    requests = { wrk.format() }
  end
end

function request()
  asked = asked % #requests + 1
  return requests[asked]
end

@{delay}

function response(status, _, body)
  if status ~= 200 or not body:find(mark, -@{tail}, true) then
    broken = broken + 1
  end
end

function done(summary)
  local errors = summary.errors
  local incomplete = 0
  for _, thread in ipairs(threads) do
    incomplete = incomplete + thread:get("broken")
  end
  io.write(string.format(
    '{"requests":%d,"microseconds":%d,"bytes":%d,"errors":%d,"broken":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.timeout, incomplete
  ))
end
