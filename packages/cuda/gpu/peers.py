"""What people use today on the same GPU: PyTorch's fp8 and bf16 products, its attention, and a transformers training step.

    python3 peers.py [gemm] [sustain] [attention] [step=T×batch …]       one line a figure; needs torch with CUDA, and transformers for step

Inputs are normal, three sets of them in rotation; times are medians by events. Where PEERS_WAIT_FOR names a file, a step that is
compiled waits until that file is there before it is timed, so that something else may have the GPU meanwhile.
"""
import os
import statistics
import sys
import time

import torch
import torch.nn.functional as F


def median_ms(f, runs=15):
    for i in range(3):
        f(i)
    times = []
    for i in range(runs):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record(); f(i); end.record(); end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def gemm():
    def say(name, m, n, k, f):
        ms = median_ms(f)
        print(f"{name:44} {m:6} x {n:6} x {k:6}  {ms:.3f} ms {2 * m * n * k / ms / 1e9:5.0f} TFLOP/s", flush=True)

    forward = [(16384, 2560, 2560), (16384, 3840, 2560), (16384, 13824, 2560), (16384, 2560, 6912), (8192, 8192, 8192)]
    others = [(16384, 2560, 13824), (3840, 2560, 16384), (2560, 2560, 16384), (13824, 2560, 16384), (2560, 6912, 16384)]
    one = torch.ones((), device="cuda")
    for m, n, k in forward + others:
        a, b = [torch.randn(m, k, device="cuda") for _ in range(3)], [torch.randn(n, k, device="cuda") for _ in range(3)]
        gradient = (m, n, k) in others
        a8 = [x.to(torch.float8_e5m2 if gradient else torch.float8_e4m3fn) for x in a]
        b8 = [x.to(torch.float8_e4m3fn) for x in b]
        for fast in (True, False):
            say(f"cuBLASLt fp8 fast_accum={fast}", m, n, k, lambda i: torch._scaled_mm(a8[i % 3], b8[i % 3].t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=fast))
        ab, bb = [x.bfloat16() for x in a], [x.bfloat16() for x in b]
        say("cuBLAS bf16, both K-major", m, n, k, lambda i: ab[i % 3] @ bb[i % 3].t())
        if gradient and m != 16384:    # as autograd multiplies: dYᵀ · X, both stored [tokens, channels]
            at, bt = [x.t().contiguous() for x in ab], [x.t().contiguous() for x in bb]
            say("cuBLAS bf16, both MN-major", m, n, k, lambda i: at[i % 3].t() @ bt[i % 3])
        elif gradient:
            bt = [x.t().contiguous() for x in bb]
            say("cuBLAS bf16, B MN-major", m, n, k, lambda i: ab[i % 3] @ bt[i % 3])


def sustain():
    """The same product for three seconds, as training runs it."""
    m, n, k = 16384, 13824, 2560
    a, b, one = torch.randn(m, k, device="cuda"), torch.randn(n, k, device="cuda"), torch.ones((), device="cuda")
    a8, b8, ab, bb = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn), a.bfloat16(), b.bfloat16()
    fp8 = lambda fast: torch._scaled_mm(a8, b8.t(), scale_a=one, scale_b=one, out_dtype=torch.bfloat16, use_fast_accum=fast)
    for name, f in [("cuBLASLt fp8 fast_accum=False", lambda: fp8(False)), ("cuBLASLt fp8 fast_accum=True", lambda: fp8(True)), ("cuBLAS bf16", lambda: ab @ bb.t())]:
        def timed(runs):
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            for _ in range(runs):
                f()
            end.record(); end.synchronize()
            return begin.elapsed_time(end) / runs
        timed(3)
        ten = timed(10)
        long = timed(int(3000 / ten))
        print(f"{name:40} ten runs {2 * m * n * k / ten / 1e9:5.0f} TFLOP/s, 3 s {2 * m * n * k / long / 1e9:5.0f} TFLOP/s", flush=True)


def attention():
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention
    flex = torch.compile(flex_attention, dynamic=False)
    heads, kv_heads, D = 32, 8, 80
    for batch, T, window in [(1, 16384, 4096), (8, 2048, 4096), (1, 16384, 16384), (1, 2048, 4096)]:
        q = torch.randn(batch, heads, T, D, device="cuda", dtype=torch.bfloat16, requires_grad=True)
        k, v = (torch.randn(batch, kv_heads, T, D, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
        g = torch.randn_like(q)
        pairs = batch * sum(min(i + 1, window) for i in range(T))

        def both(name, f):
            try:
                forward = median_ms(lambda i: f())
                out = f()
                backward = median_ms(lambda i: out.backward(g, retain_graph=True))
                print(f"{name:24} {batch} x {T:5} window {window:5}: forward {forward:.3f} ms {4 * pairs * heads * D / forward / 1e9:4.0f} TFLOP/s, "
                      f"backward {backward:.3f} ms {10 * pairs * heads * D / backward / 1e9:4.0f}", flush=True)
            except Exception as e:
                print(f"{name:24} {batch} x {T:5} window {window:5}: {type(e).__name__} {str(e)[:140]!r}", flush=True)

        if window >= T:
            for backend in (SDPBackend.FLASH_ATTENTION, SDPBackend.CUDNN_ATTENTION):
                with sdpa_kernel(backend):
                    both(f"SDPA {backend.name[:5]} causal", lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True))
        mask = create_block_mask(lambda b, h, i, j: (i >= j) & (i - j < window), None, None, T, T, device="cuda")
        both("flex attention", lambda: flex(q, k, v, block_mask=mask, enable_gqa=True))


def step(T, batch):
    from transformers import MistralConfig, MistralForCausalLM
    torch.set_float32_matmul_precision("high")
    config = MistralConfig(
        vocab_size=32000, hidden_size=2560, intermediate_size=6912, num_hidden_layers=24, num_attention_heads=32, num_key_value_heads=8, head_dim=80,
        max_position_embeddings=16384, sliding_window=4096 if T > 4096 else None, rms_norm_eps=1e-5, attn_implementation="sdpa", use_cache=False)
    with torch.device("cuda"):
        model = MistralForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    compiled, ids = torch.compile(model), torch.randint(0, 32000, (batch, T), device="cuda")

    def one():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = compiled(input_ids=ids, labels=ids).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    name = f"transformers + torch.compile bf16, danube-1.8b, {batch} x {T}"
    try:
        start = time.perf_counter()
        for _ in range(3):
            one()
        torch.cuda.synchronize()
        compiled_in = time.perf_counter() - start
        while "PEERS_WAIT_FOR" in os.environ and not os.path.exists(os.environ["PEERS_WAIT_FOR"]):
            time.sleep(0.1)
        one()
        torch.cuda.synchronize()
        ready = time.perf_counter()
        runs = 6
        for _ in range(runs):
            one()
        torch.cuda.synchronize()
        seconds = (time.perf_counter() - ready) / runs
        print(f"{name}  {seconds * 1e3:.0f} ms, {batch * T / seconds:.0f} tokens/s, peak {torch.cuda.max_memory_allocated() / 2**30:.0f} GiB, first three steps {compiled_in:.0f} s", flush=True)
    except Exception as e:
        print(f"{name}: {type(e).__name__} {str(e)[:160]!r}", flush=True)


print(f"torch {torch.__version__}, {torch.cuda.get_device_name()}", flush=True)
for word in sys.argv[1:] or ["gemm", "attention", "step=2048x8", "step=16384x1"]:
    name, _, shape = word.partition("=")
    globals()[name](*map(int, shape.split("x")) if shape else ())
