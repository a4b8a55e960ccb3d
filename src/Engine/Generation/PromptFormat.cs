namespace FineTuneStudio.Engine.Generation;

/// <summary>How a conversation is written down for a language model.</summary>
public enum PromptFormat
{
    /// <summary>As the model's own chat template says where it is one of the known ones, else plain.</summary>
    Model,

    /// <summary>The prompt, a line break, the answer, end of text.</summary>
    Plain,

    /// <summary>Headings over instruction and answer, as in instruction data sets (Taori et al. 2023, Alpaca).</summary>
    Instruction,

    /// <summary>Every turn between im_start and im_end, as Qwen2 and many others were trained.</summary>
    ChatMl,

    /// <summary>Headers and end-of-turn tokens as in Llama 3.</summary>
    Llama3,
}
