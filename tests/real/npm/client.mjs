// Asks through the official npm package, unchanged but for its base URL, and prints what it got
// as one line of JSON. Arguments: the base URL, the name of a task below, the model.
import OpenAI from "openai";

const [baseURL, task, model] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey: "sk-of-the-client", maxRetries: 0, timeout: 30_000 });
const messages = [{ role: "user", content: "Tell me of water" }];

const tasks = {
  async stream() {
    const chunks = [];
    const stream = await client.chat.completions.create({
      model,
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) chunks.push(chunk);
    return { chunks };
  },

  // What the package puts together out of a stream: text, tool calls, usage.
  async gather() {
    const parameters = { type: "object", properties: { river: { type: "string" } } };
    const tools = [{ type: "function", function: { name: "get_level", parameters } }];
    return { answer: await client.chat.completions.stream({ model, messages, tools }).finalChatCompletion() };
  },

  async whole() {
    const { data, request_id } = await client.chat.completions.create({ model, messages }).withResponse();
    return { answer: data, requestId: request_id };
  },

  async models() {
    const { data } = await client.models.list();
    return { models: data.map((each) => each.id) };
  },
};

try {
  console.log(JSON.stringify(await tasks[task]()));
} catch (error) {
  const { status, code, message } = error;
  console.log(JSON.stringify({ raised: error.constructor.name, status, code, message }));
}
