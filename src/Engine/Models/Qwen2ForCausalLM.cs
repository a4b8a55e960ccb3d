namespace FineTuneStudio.Engine.Models;

/// <summary>
/// Qwen2 (Yang et al. 2024, arXiv:2407.10671) with its language-model head: Llama's blocks with biases in the query, key and
/// value projections. Everything else that differs, such as the rotary base, is a number in config.json.
/// </summary>
public sealed class Qwen2ForCausalLM : LlamaForCausalLM
{
    /// <param name="config">Sizes and constants, from <see cref="LlamaConfig.ReadQwen2"/>.</param>
    /// <param name="dropout">Probability for attention's dropout, in place of that in <paramref name="config"/>; null keeps it.</param>
    public Qwen2ForCausalLM(LlamaConfig config, double? dropout = null) : base(config, dropout, nameof(Qwen2ForCausalLM))
    {
    }
}
