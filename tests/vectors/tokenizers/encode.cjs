// The ids of texts.jsonl by Hugging Face's tokenizers library (Rust), through the package
// tokenizers 0.23.2: one array a line for each vocabulary, no special tokens added.
const fs = require('fs');
const { Tokenizer } = require('tokenizers');

async function encodeAll(name, texts) {
  const tokenizer = Tokenizer.fromFile(`${name}.json`);
  const lines = [];
  for (const text of texts) {
    const encoding = await tokenizer.encode(text, null, { addSpecialTokens: false });
    lines.push(JSON.stringify(encoding.getIds()));
  }
  fs.writeFileSync(`${name}.ids.jsonl`, lines.join('\n') + '\n');
}

(async () => {
  const rows = fs.readFileSync('texts.jsonl', 'utf8').trim().split('\n');
  const texts = rows.map((row) => JSON.parse(row).text);
  for (const name of ['byte_level', 'wordpiece', 'unigram']) await encodeAll(name, texts);
})();
