-- The provider of the benchmark: streams an answer, a flush a chunk.
local answer = {
@{frames}
}

-- By format: what opens an answer, an event a piece of text, what closes it.
local spoken = {
@{spoken}
}

local provider = {}

local function send(text)
  return ngx.print(text) and ngx.flush(true)
end

local function start()
  ngx.req.read_body()
  ngx.header["Content-Type"] = "text/event-stream; charset=utf-8"
  ngx.header["Cache-Control"] = "no-cache"
end

-- The whole answer, `pause` seconds between two chunks; 0: as fast as it goes.
function provider.stream(pause)
  start()
  for number, chunk in ipairs(answer) do
    if pause > 0 and number > 1 then
      ngx.sleep(pause)
    end
    if not send(chunk) then
      return
    end
  end
end

-- A first chunk, then one every `pause` seconds until `release` was called, at most `most`.
function provider.hold(pause, most)
  start()
  send(answer[1])
  for _ = 1, most do
    ngx.sleep(pause)
    if ngx.shared.bench:get("released") then
      break
    end
    if not send(answer[2]) then
      return
    end
  end
  send(answer[#answer - 1])
  send(answer[#answer])
end

-- An answer in so many pieces, in one of the formats, ten of them a flush, as fast as it goes.
function provider.speak(dialect, pieces)
  local words = spoken[dialect]
  start()
  send(words.opening)
  local waiting = {}
  for number = 1, pieces do
    table.insert(waiting, words.pieces[(number - 1) % #words.pieces + 1])
    if #waiting == 10 or number == pieces then
      if not send(waiting) then
        return
      end
      waiting = {}
    end
  end
  send(words.closing)
end

function provider.release(released)
  ngx.shared.bench:set("released", released)
  ngx.say("ok")
end

return provider
