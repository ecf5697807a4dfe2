// Asks through each official package what a row of the table of clients has, and prints the rows
// as one line of JSON: {client: {format: {text, call, whole} or {raised}}}.
// Arguments: the service's URL, and the providers' formats; their models are called `text-FORMAT`
// and `tool-FORMAT`.
import { createOpenAI } from "@ai-sdk/openai";
import Anthropic from "@anthropic-ai/sdk";
import { generateText, jsonSchema, streamText, tool } from "ai";
import OpenAI from "openai";

const [url, ...formats] = process.argv.slice(2);
const prompt = "Tell me of water";
const messages = [{ role: "user", content: prompt }];
const schema = { type: "object", properties: { river: { type: "string" } } };
const options = { apiKey: "sk-of-the-client", maxRetries: 0, timeout: 30_000 };

function throughOpenAI() {
  const { completions } = new OpenAI({ ...options, baseURL: `${url}/v1` }).chat;
  const tools = [{ type: "function", function: { name: "get_level", parameters: schema } }];
  const first = (answer) => answer.choices[0].message;
  return {
    text: async (model) => first(await completions.stream({ model, messages }).finalChatCompletion()).content,
    async call(model) {
      const answer = await completions.stream({ model, messages, tools }).finalChatCompletion();
      const [{ function: called }] = first(answer).tool_calls;
      return [called.name, JSON.parse(called.arguments)];
    },
    whole: async (model) => first(await completions.create({ model, messages })).content,
  };
}

function throughAnthropic() {
  const client = new Anthropic({ ...options, baseURL: url });
  const asked = (model) => ({ model, messages, max_tokens: 1000 });
  const tools = [{ name: "get_level", input_schema: schema }];
  const text = (message) => message.content.find((block) => block.type === "text").text;
  return {
    text: async (model) => text(await client.messages.stream(asked(model)).finalMessage()),
    async call(model) {
      const message = await client.messages.stream({ ...asked(model), tools }).finalMessage();
      const called = message.content.find((block) => block.type === "tool_use");
      return [called.name, called.input];
    },
    whole: async (model) => text(await client.messages.create(asked(model))),
  };
}

function throughVercels() {
  const provider = createOpenAI({ apiKey: options.apiKey, baseURL: `${url}/v1` });
  const asked = (model) => ({ model: provider.chat(model), prompt, maxRetries: 0 });
  const tools = { get_level: tool({ inputSchema: jsonSchema(schema) }) };
  return {
    text: async (model) => streamText(asked(model)).text,
    async call(model) {
      const [called] = await streamText({ ...asked(model), tools }).toolCalls;
      return [called.toolName, called.input];
    },
    whole: async (model) => (await generateText(asked(model))).text,
  };
}

const clients = {
  "npm openai": throughOpenAI(),
  "@anthropic-ai/sdk": throughAnthropic(),
  "Vercel's ai": throughVercels(),
};

async function cell(client, format) {
  try {
    return {
      text: await client.text(`text-${format}`),
      call: await client.call(`tool-${format}`),
      whole: await client.whole(`text-${format}`),
    };
  } catch (error) {
    return { raised: `${error.constructor.name}: ${error.message}` };
  }
}

async function row(client) {
  const cells = await Promise.all(formats.map((format) => cell(client, format)));
  return Object.fromEntries(formats.map((format, at) => [format, cells[at]]));
}

const names = Object.keys(clients);
const rows = await Promise.all(Object.values(clients).map(row));
console.log(JSON.stringify(Object.fromEntries(names.map((name, at) => [name, rows[at]]))));
