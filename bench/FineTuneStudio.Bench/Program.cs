using FineTuneStudio.Bench;

return args switch
{
    ["tokenizer", .. var rest] => MeasureTokenizer.Run(rest),
    ["vocabulary", .. var rest] => MeasureVocabulary.Run(rest),
    ["fuzz-weights", .. var rest] => FuzzWeights.Command(rest),
    ["step-cost", .. var rest] => MeasureStepCost.Run(rest),
    ["pretraining", .. var rest] => MeasurePretraining.Run(rest),
    ["head-only", .. var rest] => MeasureHeadOnly.Run(rest),
    ["starter-encoder", .. var rest] => MeasureStarters.Encoder(rest),
    ["starter-gpt", .. var rest] => MeasureStarters.Gpt(rest),
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
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench starter-encoder --train CSV --test CSV [--text text] [--label category] [--each rows a label, or all] [--seeds 3] [--first 1] [--epochs 30, or 10 of all] [--rate 5e-4] [--batch 16] [--tokens 64] [--base starters/encoder] [--only starter|new]");
    Console.Error.WriteLine("dotnet run -c Release --project bench/FineTuneStudio.Bench starter-gpt --train JSONL --validation JSONL [--prompt question] [--answer answer] [--rows 500 of validation] [--steps 1000] [--seeds 3] [--first 1] [--rank 16] [--adapter-rate 2e-3] [--rate 5e-4] [--batch 16] [--tokens 256] [--base starters/gpt]");
    return 2;
}
