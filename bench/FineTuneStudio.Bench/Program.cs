using FineTuneStudio.Bench;

return args switch
{
    ["tokenizer", .. var rest] => MeasureTokenizer.Run(rest),
    ["vocabulary", .. var rest] => MeasureVocabulary.Run(rest),
    ["fuzz-weights", .. var rest] => FuzzWeights.Command(rest),
    ["step-cost", .. var rest] => MeasureStepCost.Run(rest),
    ["pretraining", .. var rest] => MeasurePretraining.Run(rest),
    ["head-only", .. var rest] => MeasureHeadOnly.Run(rest),
    _ => Usage(),
};

static int Usage()
{
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench tokenizer [folder with tokenizer files] [text file, one text a line]");
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench vocabulary TEXT_FILE [tokens]");
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench fuzz-weights --kind safetensors|index|bin|bin-index|tokenizer|all --minutes 10 --seed 1");
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench step-cost [--blocks 8] [--width 512] [--batch 16] [--tokens 128] [--float32 for these alone]");
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench pretraining --text TEXT [--family bert|gpt2 for one alone] [--steps 15] [--rounds 3] [--layers 4] [--width 256] [--heads 4] [--tokens 128, or 256 of gpt2] [--batch 64, or 32]");
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench head-only [blocks] [width] [epochs]");
    return 2;
}
