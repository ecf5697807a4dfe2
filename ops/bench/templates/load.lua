-- wrk's script: posts a chat request, sees to it that every answer is a whole 200.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

function init()
  broken = 0
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.body = [==[@{body}]==]
end

function response(status, _, body)
  if status ~= 200 or not body:find("data: [DONE]", -20, true) then
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
