"""What the report's page does when it is used: it searches and orders documents on it.

Elements are hidden and moved, never made of text, so that no document can become markup. The
page allows this script by its digest and no other.
"""

import base64
import hashlib

SCRIPT = """
const text = document.getElementById('search-text');
const order = document.getElementById('search-order');
const list = document.getElementById('search-documents');
const found = document.getElementById('search-found');
if (text) {
  const articles = [...list.children];
  const words = articles.map(article => article.textContent.toLowerCase());
  const search = () => {
    const wanted = text.value.toLowerCase().split(/\\s+/).filter(Boolean);
    let shown = 0;
    articles.forEach((article, i) => {
      article.hidden = !wanted.every(word => words[i].includes(word));
      shown += !article.hidden;
    });
    found.textContent = shown.toLocaleString('en') + (shown === 1 ? ' document' : ' documents');
  };
  const place = article => {
    const score = parseFloat(article.dataset['s' + order.value]);
    return Number.isNaN(score) ? Infinity : score;
  };
  const sort = () => {
    const sorted = order.value === '' ? articles
      : [...articles].sort((a, b) => place(a) < place(b) ? -1 : place(a) > place(b) ? 1 : 0);
    list.append(...sorted);
  };
  text.addEventListener('input', search);
  order.addEventListener('change', sort);
  text.closest('.controls').hidden = false;
}
"""

_DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()

# Nothing is loaded from anywhere, and nothing but our script runs, whatever a document holds.
POLICY = (
    f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{_DIGEST}'; "
    "base-uri 'none'; form-action 'none'"
)
