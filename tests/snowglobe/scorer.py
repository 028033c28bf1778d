"""A scorer for AI_COMPLETE that a test brings along."""


def score(model: str, prompt: str, parameters: dict, response_format: dict) -> object:
    if "fail" in prompt:
        raise ValueError("refused")
    return {"model": model, "letters": len(prompt), "temperature": parameters.get("temperature")}
