"""The bytes of tokens, from which `gonka-worker` makes text and finds the end of a completion."""

#: A text with characters of one to four bytes, by which the table is tried.
TRIAL = "Say: naïve 漢字 🦀, 2 + 2 = 4!\n\tEnd."


def token_bytes(tokenizer, size: int) -> dict:
    """Returns the bytes of `size` tokens as hexadecimal digits, none for special ones, and the names of special tokens.

    Raises `ValueError` for a tokenizer whose tokens do not join to the text.
    """
    from xgrammar import TokenizerInfo

    decoded = TokenizerInfo.from_huggingface(tokenizer, vocab_size=size).decoded_vocab
    table = [bytes(token) if isinstance(token, bytes) else token.encode() for token in decoded][:size]
    table += [b""] * (size - len(table))
    special = {id: token.content for id, token in tokenizer.added_tokens_decoder.items() if token.special}
    for id in special:
        if id < size:
            table[id] = b""
    joined = b"".join(table[id] for id in tokenizer.encode(TRIAL, add_special_tokens=False)).decode(errors="replace")
    # Some tokenizers put a space in front of every text.
    if joined.removeprefix(" ") != TRIAL:
        raise ValueError("the bytes of this tokenizer's tokens do not join to the text")
    return {"bytes": [token.hex() for token in table], "special": sorted(special.values())}


def end_ids(model_config, tokenizer) -> list[int]:
    """Returns the ids that end a completion, by the model's configuration and its tokenizer."""
    found = set()
    for source in (model_config.try_get_generation_config(), model_config.hf_config.to_dict()):
        ids = (source or {}).get("eos_token_id")
        found.update(ids if isinstance(ids, list) else [] if ids is None else [ids])
    if tokenizer.eos_token_id is not None:
        found.add(tokenizer.eos_token_id)
    return sorted(found)
